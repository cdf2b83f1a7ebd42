"""What stands where there is nothing to show yet?"""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QStackedWidget, QWidget

from qviz.gui.kit.theme import Theme
from qviz.gui.kit.widgets import named_label


class Hinted(QStackedWidget):
    """A widget, or a sentence in its place that says what to do."""

    def __init__(self, content: QWidget, hint: str) -> None:
        super().__init__()
        self.setObjectName("panel")
        self.content = content
        self.hint = named_label(hint, "hint", wrap=True)
        self.hint.setTextFormat(Qt.TextFormat.PlainText)
        self.hint.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.hint.setMargin(24)
        self.addWidget(self.hint)
        self.addWidget(content)

    def say(self, hint: str) -> None:
        """This sentence; the content for an empty one."""
        if hint:
            self.hint.setText(hint)
        self.setCurrentIndex(0 if hint else 1)

    def show_content(self, shown: bool) -> None:
        """The widget, or the sentence that there was last."""
        self.setCurrentIndex(1 if shown else 0)

    def apply_theme(self, theme: Theme) -> None:
        apply: Any = getattr(self.content, "apply_theme", None)
        if apply is not None:
            apply(theme)
