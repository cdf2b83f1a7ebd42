"""A number and its unit stay on one line; words may begin the next one."""

from __future__ import annotations

from qviz.core.sizes import UNITS as BYTES
from qviz.core.units import UNITS, broken, unbroken


def test_a_unit_stays_with_its_number():
    assert set(BYTES) <= set(UNITS)
    for unit in UNITS:
        for text in (f"12 {unit}", f"−0.5 {unit}.", f"({unit}: 1,024 {unit}/2)", f"∞ {unit}", f"– {unit}"):
            kept = unbroken(text)
            assert kept.count("\N{NO-BREAK SPACE}") == 1, text
            assert broken(kept) == text
    assert unbroken("7.25 MiB of 16 MiB · 43 % in 2 s") == "7.25\xa0MiB of 16\xa0MiB · 43\xa0% in 2\xa0s"
    assert unbroken("≈ 3.2 dB") == "≈\xa03.2\xa0dB"


def test_what_is_no_unit_is_left_alone():
    for text in ("8 bits", "3 samples", "12 of 30", "2 seconds", "a B", "1 Bias", "4 hours", "%", ""):
        assert unbroken(text) == text
