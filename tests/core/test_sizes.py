"""Bytes in powers of 1024, with up to four digits."""

from __future__ import annotations

from qviz.core.sizes import byte_text
from tests.every import every


@every(
    ("count", "text"),
    [
        (0, "0 B"),
        (1, "1 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (1229, "1.2 KiB"),
        (10_230, "9.99 KiB"),
        (16_384, "16 KiB"),
        (2**20 - 1, "1 MiB"),
        (3 * 2**29, "1.5 GiB"),
        (1000 * 2**50, "1000 PiB"),
        (2**70, "> 1024 PiB"),
        (2**5000, "> 1024 PiB"),
    ],
)
def test_bytes_as_a_person_says_them(count, text):
    assert byte_text(count) == text
