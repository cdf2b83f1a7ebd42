"""Where no window can be drawn, one sentence says what is missing and what works without one."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import PySide6.QtCore
import pytest
from PySide6.QtCore import QtMsgType

from qviz.app.display import (
    DEBIAN_PACKAGES,
    DEBIAN_WINDOW_PACKAGES,
    EXIT_NO_DISPLAY,
    WITHOUT,
    explain_fatal_messages,
    missing_display,
    missing_library,
    stop_explaining,
)

VARIABLES = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A Linux machine without a display."""
    monkeypatch.setattr(sys, "platform", "linux")
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_no_display_is_said_with_what_works_without(bare: pytest.MonkeyPatch) -> None:
    said = missing_display()
    assert said == f"no window can be opened: neither DISPLAY nor WAYLAND_DISPLAY is set. {WITHOUT}"
    assert all(f"qviz {command}" in WITHOUT for command in ("analyze", "quantize", "render"))


@pytest.mark.parametrize("name", VARIABLES)
def test_any_display_may_do(bare: pytest.MonkeyPatch, name: str) -> None:
    bare.setenv(name, "something")
    assert missing_display() is None
    bare.setenv(name, "")
    assert missing_display() is not None


@pytest.mark.parametrize("platform", ["win32", "darwin"])
def test_elsewhere_there_is_always_a_display(bare: pytest.MonkeyPatch, platform: str) -> None:
    bare.setattr(sys, "platform", platform)
    assert missing_display() is None


def test_a_missing_library_is_said_with_its_package() -> None:
    said = missing_library(ImportError("libEGL.so.1: cannot open shared object file: No such file or directory"))
    assert said.startswith(f"Qt cannot be loaded: libEGL.so.1 is missing. On Debian: apt install {DEBIAN_PACKAGES}. ")
    assert said.endswith("Without Qt these work: qviz analyze, qviz quantize.")


def test_a_missing_python_package_is_said_by_its_name() -> None:
    said = missing_library(ModuleNotFoundError("No module named 'pyqtgraph'", name="pyqtgraph"))
    assert said == "the package pyqtgraph is missing: install qviz again."


# --- what Qt says before it aborts ------------------------------------------------------------------

Handler = Callable[[QtMsgType, object, str], None]


class Ear:
    """The message handler that was installed, and the code it left with."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.installed: list[Handler | None] = []
        self.codes: list[int] = []
        monkeypatch.setattr(PySide6.QtCore, "qInstallMessageHandler", self.installed.append)
        explain_fatal_messages(self.codes.append)

    def say(self, *texts: str) -> None:
        """Several messages, the last of them fatal."""
        (handler,) = self.installed
        assert handler is not None
        for text in texts[:-1]:
            handler(QtMsgType.QtWarningMsg, None, text)
        assert self.codes == []
        handler(QtMsgType.QtFatalMsg, None, texts[-1])


@pytest.fixture
def ear(monkeypatch: pytest.MonkeyPatch) -> Ear:
    return Ear(monkeypatch)


FATAL = (
    "This application failed to start because no Qt platform plugin could be initialized. "
    "Reinstalling the application may fix this problem.\n\nAvailable platform plugins are: xcb, offscreen.\n"
)


@pytest.mark.parametrize(
    ("before", "reason"),
    [
        (["qt.qpa.xcb: could not connect to display :9"], "the display :9 does not answer."),
        (
            ["From 6.5.0, xcb-cursor0 or libxcb-cursor0 is needed.", "could not connect to display :9"],
            "the display :9 does not answer.",
        ),
        (
            ["From 6.5.0, xcb-cursor0 or libxcb-cursor0 is needed to load the Qt xcb platform plugin."],
            f"a library for X11 is missing. On Debian: apt install {DEBIAN_WINDOW_PACKAGES}.",
        ),
        ([], " ".join(FATAL.split())),
    ],
)
def test_before_qt_aborts_the_reason_is_said_on_one_line(
    ear: Ear,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    before: list[str],
    reason: str,
) -> None:
    monkeypatch.setenv("DISPLAY", ":9")
    ear.say(*before, FATAL)
    captured = capsys.readouterr()
    assert captured.err == f"qviz: no window can be opened: {reason} {WITHOUT}\n"
    assert captured.out == ""
    assert ear.codes == [EXIT_NO_DISPLAY] == [3]


def test_what_is_not_fatal_is_not_said(ear: Ear, capsys: pytest.CaptureFixture[str]) -> None:
    (handler,) = ear.installed
    assert handler is not None
    for kind in (QtMsgType.QtDebugMsg, QtMsgType.QtInfoMsg, QtMsgType.QtWarningMsg, QtMsgType.QtCriticalMsg):
        handler(kind, None, "something")
    captured: Any = capsys.readouterr()
    assert (captured.out, captured.err, ear.codes) == ("", "", [])


def test_when_the_window_is_there_qt_speaks_for_itself_again(ear: Ear) -> None:
    stop_explaining()
    assert ear.installed[1:] == [None]
