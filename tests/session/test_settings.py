"""What is remembered between two starts, and what a damaged file does: nothing."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QByteArray

from qviz.session.settings import DEFAULTS, MAX_RECENT, Settings

VALUES: dict[str, Any] = {
    "theme": "dark",
    "log_counts": True,
    "last_folder": "/some where/ä,ö;=%20/“x”\\y",
    "recent_files": ["/a, b", "/c;d"],
    "scheme": {"symmetric": False, "number_format": {"kind": "int", "bits": 4, "signed": True}},
    "geometry": QByteArray(b"\x00\x01\xff,;"),
    "layout": QByteArray(b"layout"),
    "page": "compare",
    "pins": [{"name": "mine", "place": 2, "scheme": {"symmetric": True}}],
    "presets": [{"name": "mine", "scheme": {"symmetric": True}}],
    "captions": False,
    "png_scale": 3.125,
    "memory_budget_mb": 2048,
    "readings": [["/w.bin", {"dtype": "float16"}]],
    "reload_changed": True,
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "qviz.ini"


def written(path: Path, content: str | bytes) -> Settings:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return Settings(path)


def test_every_setting_is_tried_here() -> None:
    assert VALUES.keys() == DEFAULTS.keys()
    assert all(VALUES[key] != DEFAULTS[key] for key in DEFAULTS)


@pytest.mark.parametrize("key", DEFAULTS)
def test_before_anybody_chose_it_is_the_default(path: Path, key: str) -> None:
    value = Settings(path).get(key)
    assert value == DEFAULTS[key]
    assert type(value) is type(DEFAULTS[key])


@pytest.mark.parametrize(("key", "value"), VALUES.items())
def test_what_is_remembered_comes_back_as_it_was(path: Path, key: str, value: Any) -> None:
    first = Settings(path)
    first.set(key, value)
    assert first.get(key) == value
    first.save()
    again = Settings(path).get(key)
    assert again == value
    assert type(again) is type(value)


@pytest.mark.parametrize("value", [False, "", [], {}, ["a"], 2])
def test_empty_and_small_values_come_back_too(path: Path, value: Any) -> None:
    key = next(k for k, d in DEFAULTS.items() if type(d) is (float if value == 2 else type(value)))
    settings = Settings(path)
    settings.set(key, VALUES[key])
    settings.set(key, value)
    settings.save()
    again = Settings(path).get(key)
    assert again == value
    assert type(again) is type(DEFAULTS[key])


def test_settings_live_beside_each_other(path: Path) -> None:
    first = Settings(path)
    for key, value in VALUES.items():
        first.set(key, value)
    first.save()
    again = Settings(path)
    assert {key: again.get(key) for key in DEFAULTS} == VALUES


@pytest.mark.parametrize("key", ["log_counts", "recent_files", "scheme", "png_scale", "theme"])
@pytest.mark.parametrize(
    "text", ["nonsense", '"{', "[1, 2", "a, b", '"\\x00\\xff"', "@Variant(\\0\\0)", "@ByteArray(x)", "\\"]
)
def test_a_damaged_value_counts_as_absent(path: Path, key: str, text: str) -> None:
    settings = written(path, f'[General]\nlast_folder="\\"/kept\\""\n{key}={text}\n')
    assert settings.get(key) == DEFAULTS[key]
    assert settings.get("last_folder") == "/kept"
    settings.set(key, VALUES[key])
    assert settings.get(key) == VALUES[key]


def test_damage_is_logged(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    written(path, "[General]\ntheme=nonsense\n").get("theme")
    assert "the setting theme is damaged" in caplog.text


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("theme", 3),
        ("theme", None),
        ("log_counts", 1),
        ("log_counts", "true"),
        ("recent_files", {"a": 1}),
        ("recent_files", "a"),
        ("scheme", []),
        ("png_scale", True),
        ("png_scale", "2"),
    ],
)
def test_a_value_of_another_type_counts_as_absent(path: Path, key: str, value: Any) -> None:
    settings = Settings(path)
    settings.set(key, value)
    assert settings.get(key) == DEFAULTS[key]


@pytest.mark.parametrize(
    ("key", "text"),
    [("png_scale", number) for number in ("-5", "0", "1e300", "NaN", "Infinity", "1" + "0" * 400)]
    + [("memory_budget_mb", number) for number in ("-1", "-9999999999999", "1" + "0" * 400)],
)
def test_a_number_that_a_setting_cannot_have_counts_as_absent(path: Path, key: str, text: str) -> None:
    assert written(path, f"[General]\n{key}={text}\n").get(key) == DEFAULTS[key]


@pytest.mark.parametrize("key", ["geometry", "layout"])
@pytest.mark.parametrize("text", ["nonsense", "a, b", "3", "@Variant(\\0\\0)"])
def test_a_layout_that_is_none_counts_as_absent(path: Path, key: str, text: str) -> None:
    value = written(path, f"[General]\n{key}={text}\n").get(key)
    assert isinstance(value, QByteArray)
    assert value.isEmpty()


@pytest.mark.parametrize(
    "content",
    [b"", b"\x00\xff\xfe" * 100, b"[General", b"]]]]", b"=\n=\n", b"[General]\ntheme", b"\xef\xbb\xbf\xff"],
    ids=repr,
)
def test_a_damaged_file_never_stops_the_start(path: Path, content: bytes) -> None:
    settings = written(path, content)
    assert {key: settings.get(key) for key in DEFAULTS} == DEFAULTS


def test_a_folder_in_the_place_of_the_file_never_stops_the_start(path: Path) -> None:
    path.mkdir()
    settings = Settings(path)
    assert settings.get("theme") == "system"
    settings.set("theme", "dark")
    settings.save()


def test_a_place_that_cannot_be_written_never_stops_the_end(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    settings = Settings(tmp_path / "file" / "qviz.ini")
    settings.set("theme", "dark")
    settings.save()
    assert settings.get("theme") == "dark"


def test_an_unknown_setting_is_a_mistake_of_the_programmer(path: Path) -> None:
    settings = Settings(path)
    with pytest.raises(KeyError, match="colour"):
        settings.get("colour")
    with pytest.raises(KeyError, match="colour"):
        settings.set("colour", 1)


def test_a_default_cannot_be_changed_by_accident(path: Path) -> None:
    settings = Settings(path)
    settings.get("recent_files").append("/x")
    settings.get("scheme")["x"] = 1
    assert (settings.get("recent_files"), settings.get("scheme")) == ([], {})


def test_the_last_opened_file_is_the_first_of_the_recent_ones(path: Path) -> None:
    settings = Settings(path)
    for name in ("a", "b", "c", "a"):
        settings.add_recent(Path("/x") / name)
    assert settings.get("recent_files") == [str(Path("/x") / name) for name in "acb"]


def test_thousands_that_are_opened_at_once_are_written_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(path)
    settings.add_recent(Path("/x"))
    written: list[str] = []
    real = settings.set
    monkeypatch.setattr(settings, "set", lambda key, value: (written.append(key), real(key, value)))
    settings.add_all_recent([Path(f"/{number}") for number in range(5000)])
    assert written == ["recent_files"]
    assert settings.get("recent_files") == [str(Path(f"/{number}")) for number in range(MAX_RECENT)]
    settings.add_all_recent([Path("/2"), Path("/x"), Path("/2")])
    assert settings.get("recent_files")[:4] == [str(Path(name)) for name in ("/2", "/x", "/0", "/1")]


def test_recent_files_are_bounded(path: Path) -> None:
    settings = Settings(path)
    for number in range(MAX_RECENT + 5):
        settings.add_recent(Path(f"/{number}"))
    recent = settings.get("recent_files")
    assert len(recent) == MAX_RECENT
    assert recent[0] == str(Path(f"/{MAX_RECENT + 4}"))
    assert recent[-1] == str(Path("/5"))


def test_a_persons_own_settings_are_an_ini_file_called_qviz(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PySide6.QtCore import QSettings

    before = tmp_path / "home"
    QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, str(before))
    settings = Settings()
    settings.set("theme", "dark")
    settings.save()
    assert (before / "qviz" / "qviz.ini").exists()


def test_lists_of_two_windows_are_merged(path: Path) -> None:
    one, other = Settings(path), Settings(path)

    def name(each: Any) -> Any:
        return each["name"]

    a, b, c, d = ({"name": n} for n in "abcd")
    one.merge("presets", [], [a, b], name)
    assert other.get("presets") == [a, b]
    one.merge("presets", [a, b], [a, b, c], name)
    other.merge("presets", [a, b], [a, d], name)  # b was removed there, which knew nothing of c
    assert other.get("presets") == [a, d, c]
    changed = {"name": "a", "scheme": 1}
    one.merge("presets", [a, b, c], [changed, b, c], name)
    assert sorted(map(name, one.get("presets"))) == ["a", "b", "c", "d"]
    assert changed in one.get("presets")
