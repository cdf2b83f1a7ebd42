"""What does the window ask of each page?"""

from __future__ import annotations

from typing import Protocol

from PySide6.QtCore import SignalInstance

from qviz.core.frozen import frozen
from qviz.gui.charts.base import Chart
from qviz.gui.kit.theme import Theme
from qviz.session.history import History
from qviz.session.settings import Settings


@frozen
class Subject:
    """Of what a chart is: its file is named so, and its picture says so.

    Attributes
    ----------
    of : str
        The tensor, the factors or the data.
    under : str
        The scheme, or what decides it.
    """

    of: str = ""
    under: str = ""


class Closing(Protocol):
    """What has a thread, to be stopped and waited for."""

    def close(self) -> None: ...


class Busy(Protocol):
    """What works away from the window's thread, tells how far it is, and can be stopped."""

    @property
    def began(self) -> SignalInstance: ...

    @property
    def advanced(self) -> SignalInstance:
        """Tells the share that is done."""

    @property
    def ended(self) -> SignalInstance: ...

    def cancel(self) -> object: ...


@frozen
class Job:
    """Work of a page, and what the status bar says of it."""

    work: Busy
    text: str


class Page(Protocol):
    """One page of the window; every one is a `QWidget` besides.

    Attributes
    ----------
    charts : tuple of Chart
        Those that *Export all* exports, in order.
    history : History
        What undo and redo act on while the page is in front.
    workers : tuple of Closing
        Whoever works for the page, to be closed with the window.
    jobs : tuple of Job
        What of that work is told in the status bar, and can be stopped there.
    export_requested(Chart, str), copy_requested(Chart)
        Signals: a chart goes to a file of that ending, or to the clipboard.
    problem(str), notice(str)
        Signals: one sentence for the person.
    """

    history: History
    workers: tuple[Closing, ...]
    jobs: tuple[Job, ...]

    @property
    def charts(self) -> tuple[Chart, ...]: ...

    @property
    def export_requested(self) -> SignalInstance: ...

    @property
    def copy_requested(self) -> SignalInstance: ...

    @property
    def problem(self) -> SignalInstance: ...

    @property
    def notice(self) -> SignalInstance: ...

    @property
    def step_name(self) -> str:
        """What one step of its history is, as in "Undo scheme change"."""

    @property
    def ready(self) -> bool:
        """Whether there is an answer that could be exported or copied."""

    def subject(self, chart: Chart) -> Subject:
        """Of what a chart of this page is."""

    def copy_figures(self) -> None:
        """Its figures to the clipboard, as text."""

    def apply_theme(self, theme: Theme) -> None:
        """Change every colour, now."""

    def reset_layout(self) -> None:
        """Every part where it was in the beginning."""

    def remember(self, settings: Settings) -> None:
        """Write to the settings what is to be there at the next start."""

    def recall(self, settings: Settings) -> None:
        """As the settings say that it was left."""
