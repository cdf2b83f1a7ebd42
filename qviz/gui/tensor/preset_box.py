"""How is a named scheme chosen, or a scheme given a name?"""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QHBoxLayout, QInputDialog, QMenu, QToolButton, QWidget

from qviz.core.problems import Problem
from qviz.core.schemes.presets import Preset
from qviz.core.schemes.scheme import Scheme
from qviz.gui.kit.fields import ComboBox
from qviz.gui.kit.widgets import menu_text, plain_tip
from qviz.session.guard import guarded
from qviz.session.language import told, tr
from qviz.session.presets import Presets


@guarded
class PresetList(ComboBox):
    """A list that opens at its top, where the lesson is, unless what is chosen would be out of sight."""

    def showPopup(self) -> None:
        super().showPopup()
        view = self.view()
        view.scrollToTop()
        if not view.viewport().rect().contains(view.visualRect(view.currentIndex())):
            view.scrollTo(view.currentIndex())


class PresetBox(QWidget):
    """All presets in one list, under their headings, and a menu to keep one's own.

    Signals
    -------
    chosen(Scheme)
    refused(str)
    """

    chosen = Signal(object)
    refused = Signal(str)

    def __init__(self, presets: Presets) -> None:
        super().__init__()
        self._presets = presets
        self._scheme = Scheme()
        self._named: object = self  # nothing is shown yet
        self.list = PresetList()
        self.list.setAccessibleName(self.tr("Preset"))
        self.list.setMaxVisibleItems(40)
        self.list.stay_narrow()
        self.more = QToolButton()
        self.more.setObjectName("text")
        self.more.setText("…")
        self.more.setFixedWidth(30)
        self.more.setToolTip(self.tr("Save this scheme as a preset, or delete one of your own"))
        self.more.setAccessibleName(self.tr("Save or delete a preset"))
        self.more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self._menu = QMenu(self.more)
        self._menu.aboutToShow.connect(self._fill_menu)
        self.more.setMenu(self._menu)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.list, 1)
        layout.addWidget(self.more)
        self.setFocusProxy(self.list)
        self.list.activated.connect(self._on_activated)
        presets.changed.connect(self._fill)
        self._fill()

    @Slot()
    def _fill(self) -> None:
        self.list.clear()
        self.list.addItem(self.tr("(custom)"), None)
        heading = ""
        for preset in self._presets.all:
            if preset.group != heading:
                heading = preset.group
                self.list.addItem(tr(heading), None)
                item = self.list.model().item(self.list.count() - 1)  # type: ignore[attr-defined]
                item.setFlags(Qt.ItemFlag.NoItemFlags)
            self.list.addItem(tr(preset.name), preset)
            self.list.setItemData(self.list.count() - 1, plain_tip(told(preset.about)), Qt.ItemDataRole.ToolTipRole)
        self.show_scheme(self._scheme)

    def show_scheme(self, scheme: Scheme) -> None:
        """The name of a scheme, where it has one."""
        self._scheme = scheme
        preset = self._presets.named(scheme)
        row = 0
        if preset is not None:
            row = next((i for i in range(self.list.count()) if self.list.itemData(i) == preset), 0)
        if preset is self._named and row == self.list.currentIndex():
            return  # while something is dragged, there is none all the while
        self._named = preset
        if row != self.list.currentIndex():
            self.list.setCurrentIndex(row)
        about = (
            self.tr("Schemes that have a name.")
            if preset is None
            else self.tr("{name}: {about}").format(name=tr(preset.name), about=told(preset.about))
        )
        if plain_tip(about) != self.list.toolTip():
            self.list.setToolTip(plain_tip(about))  # the name may be longer than the box

    @Slot(int)
    def _on_activated(self, row: int) -> None:
        preset: Preset | None = self.list.itemData(row)
        if preset is not None:
            self.chosen.emit(preset.scheme)
        self.show_scheme(self._scheme)

    @Slot()
    def _fill_menu(self) -> None:
        self._menu.clear()
        self._menu.addAction(self.tr("Save this scheme as a preset…")).triggered.connect(self._save)
        preset = self._presets.named(self._scheme)
        if preset is not None and self._presets.is_own(preset.name):
            self._menu.addAction(menu_text(self.tr("Delete “{name}”").format(name=preset.name))).triggered.connect(
                self._delete
            )

    @Slot()
    def _save(self) -> None:
        name, agreed = QInputDialog.getText(self, self.tr("Save preset"), self.tr("Name of the preset"))
        if agreed:
            self.save(name)

    def save(self, name: str) -> None:
        """Keep the scheme that is shown under a name."""
        try:
            self._presets.save(name, self._scheme)
        except Problem as problem:
            self.refused.emit(told(problem))

    @Slot()
    def _delete(self) -> None:
        preset = self._presets.named(self._scheme)
        if preset is not None:
            self._presets.remove(preset.name)
