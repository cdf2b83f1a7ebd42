"""Can a window be drawn here, and if not, what is missing?"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

EXIT_NO_DISPLAY = 3
WITHOUT = "Without a window these work: qviz analyze, qviz quantize, qviz render."
DEBIAN_PACKAGES = "libegl1 libgl1 libglib2.0-0 libfontconfig1 libxkbcommon0 libdbus-1-3"
DEBIAN_WINDOW_PACKAGES = "libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxcb-shape0 libxcb-xkb1 libxkbcommon-x11-0"


def missing_display() -> str | None:
    """One sentence when this machine offers nothing to draw on; None when it may."""
    if not sys.platform.startswith("linux") or os.environ.get("QT_QPA_PLATFORM"):
        return None
    if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        return None
    return f"no window can be opened: neither DISPLAY nor WAYLAND_DISPLAY is set. {WITHOUT}"


def missing_library(error: ImportError) -> str:
    """One sentence for a Qt that cannot be loaded."""
    if isinstance(error, ModuleNotFoundError):
        return f"the package {error.name} is missing: install qviz again."
    library = str(error).split(":", maxsplit=1)[0]
    return (
        f"Qt cannot be loaded: {library} is missing. On Debian: apt install {DEBIAN_PACKAGES}. "
        "Without Qt these work: qviz analyze, qviz quantize."
    )


def explain_fatal_messages(leave: Callable[[int], Any] = os._exit) -> None:
    """Before Qt aborts, say what it lacks, and leave with exit code 3 instead.

    Call before the QApplication is made; `stop_explaining` ends it.
    """
    from PySide6.QtCore import QtMsgType, qInstallMessageHandler

    heard: list[str] = []

    def handler(kind: QtMsgType, context: object, text: str) -> None:
        if kind is not QtMsgType.QtFatalMsg:
            heard.append(text)
            return
        said = " ".join([*heard, text])
        if "connect to display" in said:  # Qt names libxcb-cursor0 here too, whether it is there or not
            reason = f"the display {os.environ.get('DISPLAY', '')} does not answer"
        elif "cursor" in said:
            reason = f"a library for X11 is missing. On Debian: apt install {DEBIAN_WINDOW_PACKAGES}"
        else:
            reason = " ".join(text.split())
        print(f"qviz: no window can be opened: {reason.rstrip('.')}. {WITHOUT}", file=sys.stderr, flush=True)
        leave(EXIT_NO_DISPLAY)

    qInstallMessageHandler(handler)


def stop_explaining() -> None:
    """Qt's messages go where they always go."""
    from PySide6.QtCore import qInstallMessageHandler

    qInstallMessageHandler(None)
