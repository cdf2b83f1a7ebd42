"""Which colours and fonts? A theme file becomes a palette, a style sheet and the charts' roles."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from string import Template

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QFont, QFontDatabase, QGuiApplication, QIcon, QPainter, QPalette, QPixmap
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import QApplication, QWidget

from qviz.assets import resource
from qviz.core.frozen import frozen

CHOICES = ("system", "light", "dark")

SPACE = 8
"""The unit of every margin and gap; use 4, 8, 12 or 16."""


@frozen
class Theme:
    """The colours of one theme file: ``ui`` for widgets, ``chart`` for what is drawn.

    Those of charts carry meaning, the same on every chart and page, and can be told apart by colour-blind eyes: after
    Okabe and Ito; ``series1`` to ``series6``, which are laid over each other, after Paul Tol; ``heat1`` to ``heat9``,
    from the best to the worst on a heat map, are viridis.
    """

    name: str
    dark: bool
    ui: dict[str, str]
    chart: dict[str, str]

    def color(self, role: str, alpha: int = 255) -> QColor:
        """A chart role's colour."""
        color = QColor(self.chart[role])
        color.setAlpha(alpha)
        return color


@cache
def load_theme(name: str) -> Theme:
    """The theme in ``resources/themes/<name>.json``."""
    data = json.loads(resource("themes", f"{name}.json").read_text(encoding="utf-8"))
    return Theme(name, data["dark"], data["ui"], data["chart"])


def resolve(choice: str) -> Theme:
    """The theme for a person's choice: ``system`` follows the desktop."""
    if choice in ("light", "dark"):
        return load_theme(choice)
    dark = QGuiApplication.styleHints().colorScheme() == Qt.ColorScheme.Dark
    return load_theme("dark" if dark else "light")


def apply(app: QApplication, theme: Theme) -> None:
    """The colours of every widget: `dress` gives those in sight their looks, and `apply_theme` the charts."""
    app.setPalette(_palette(theme))


def dress(widget: QWidget, theme: Theme) -> None:
    """Give a widget and all that it holds their looks; nothing happens where they have them.

    Not the whole application at once: that takes 0.1 ms for each of two thousand widgets, most of which nobody sees.
    """
    sheet = _sheet(theme.name)
    if widget.styleSheet() != sheet:
        if widget.styleSheet():
            for each in (widget, *widget.findChildren(QWidget)):
                each.ensurePolished()  # or Qt keeps what it looked up for one that was never shown
            widget.setStyleSheet("")  # to take one off and put another on takes half of what changing it does
        widget.setStyleSheet(sheet)


@cache
def _sheet(name: str) -> str:
    theme = load_theme(name)
    template = Template(resource("themes", "style.qss").read_text(encoding="utf-8"))
    mode = "dark" if theme.dark else "light"
    return template.substitute(theme.ui, mode=mode, icons=resource("icons").as_posix())


def load_fonts(app: QApplication) -> None:
    """The bundled font everywhere, and glyphs for CJK names where the system has none."""
    fonts = resource("fonts")
    for weight in ("Regular", "Medium", "SemiBold"):
        QFontDatabase.addApplicationFont(str(fonts / f"Inter-{weight}.otf"))
    font = QFont("Inter")
    font.setPixelSize(13)
    font.setFeature(QFont.Tag("tnum"), 1)  # figures that stand under one another
    font.setFeature(QFont.Tag("calt"), 0)  # or "7 x 1" turns into "7 × 1"
    if not QFontDatabase.families(QFontDatabase.WritingSystem.SimplifiedChinese):
        fallback = QFontDatabase.addApplicationFont(str(fonts / "DroidSansFallbackFull.ttf"))
        QFont.insertSubstitutions("Inter", QFontDatabase.applicationFontFamilies(fallback))
    app.setFont(font)


def scaled_font(font: QFont, pixels: int, *, weight: QFont.Weight = QFont.Weight.Normal) -> QFont:
    """The same family and features at another size."""
    other = QFont(font)
    other.setPixelSize(pixels)
    other.setWeight(weight)
    return other


def icon(name: str, color: str) -> QIcon:
    """A one-colour icon of ``resources/icons``, drawn in ``color``."""
    return _icon(resource("icons", f"{name}.svg"), color)


@cache
def _icon(path: Path, color: str) -> QIcon:
    renderer = QSvgRenderer(path.read_text(encoding="utf-8").replace("currentColor", color).encode())
    drawn = QIcon()
    for size in (16, 32):
        pixmap = QPixmap(size, size)
        pixmap.fill(Qt.GlobalColor.transparent)
        painter = QPainter(pixmap)
        renderer.render(painter)
        painter.end()
        drawn.addPixmap(pixmap)
    return drawn


def _palette(theme: Theme) -> QPalette:
    ui = {name: QColor(value) for name, value in theme.ui.items()}
    palette = QPalette()
    roles = QPalette.ColorRole
    for role, color in (
        (roles.Window, "window"),
        (roles.WindowText, "text"),
        (roles.Base, "field"),
        (roles.AlternateBase, "raised"),
        (roles.Text, "text"),
        (roles.Button, "raised"),
        (roles.ButtonText, "text"),
        (roles.BrightText, "text"),
        (roles.ToolTipBase, "raised"),
        (roles.ToolTipText, "text"),
        (roles.PlaceholderText, "faint"),
        (roles.Highlight, "accent"),
        (roles.HighlightedText, "on_accent"),
        (roles.Link, "accent"),
        (roles.Mid, "border"),
        (roles.Light, "raised"),
        (roles.Dark, "border"),
        (roles.Shadow, "window"),
    ):
        palette.setColor(role, ui[color])
    for role in (roles.WindowText, roles.Text, roles.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, role, ui["faint"])
    return palette
