"""What a person says of a file is remembered: for it, and of bare numbers for those beside it."""

from __future__ import annotations

from pathlib import Path

from qviz.files.raw import RawForm
from qviz.files.tables.form import TableOptions
from qviz.session.readings import MOST, Readings

RAW = RawForm("float16", (3, -1), 4, "big")
OPTIONS = TableOptions.parsed("separator=tab,decimal=comma,header=2,index=no,columns=1+3")


def test_bare_numbers_are_read_as_those_beside_them() -> None:
    readings = Readings()
    readings.say_raw(Path("/a/w.bin"), RAW)
    readings.say_raw(Path("/a/v.bin"), RawForm())
    assert readings.of(Path("/a/w.bin")).raw == RAW
    assert readings.of(Path("/a/new.bin")).raw == RawForm()
    assert readings.of(Path("/b/w.bin")).raw is None
    assert readings.of(Path("/a/w.npy")).raw is None


def test_a_table_is_known_by_itself_and_can_be_forgotten() -> None:
    readings = Readings()
    readings.say_table(Path("/a/w.csv"), OPTIONS)
    assert readings.of(Path("/a/w.csv")).table == OPTIONS
    assert not readings.of(Path("/a/v.csv")).table
    readings.say_table(Path("/a/w.csv"), TableOptions())
    assert readings.to_list() == []


def test_it_survives_the_end_and_damage() -> None:
    before, after = Readings(), Readings()
    before.say_table(Path("/a/w.csv"), OPTIONS)
    before.say_raw(Path("/a/w.bin"), RAW)
    after.restore(
        [*before.to_list(), None, 3, ["raw"], ["raw", "/x", "dtype=no"], ["table", 1, "2"], ["odd", "/x", ""]]
    )
    assert after.to_list() == before.to_list()
    assert after.of(Path("/a/w.csv")).table == OPTIONS
    assert after.of(Path("/a/w.bin")).raw == RAW


def test_the_oldest_is_forgotten() -> None:
    readings = Readings()
    for number in range(MOST + 5):
        readings.say_table(Path(f"/{number}.csv"), OPTIONS)
    assert len(readings.to_list()) == MOST
    assert readings.of(Path(f"/{MOST + 4}.csv")).table
