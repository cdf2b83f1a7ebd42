"""With which controls is a network given data, and what looks wrong with it?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import QSize, Qt, Signal, Slot
from PySide6.QtGui import QImage, QPixmap
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QLineEdit, QPushButton, QWidget

from qviz.core.problems import Phrase, Problem
from qviz.gui.kit.fields import ComboBox, Slider
from qviz.gui.kit.widgets import column, form, named_label, quiet
from qviz.models.data import TEXTS
from qviz.models.data_settings import DataSettings, PictureSettings
from qviz.models.pictures import PICTURES
from qviz.session.language import told
from qviz.session.network_state import NetworkState

PREVIEW = QSize(252, 140)
SCALES = ((1 / 255, "1 ÷ 255"), (1.0, "1"), (1 / 127.5, "1 ÷ 127.5"))


class DataPanel(QWidget):
    """Shows where samples come from and what was seen in them; asks for others.

    Signals
    -------
    files_requested(), folder_requested(), random_requested(), tokenizer_requested()
    settings_changed(DataSettings)
    share_changed(float)
    refused(str)
    """

    files_requested = Signal()
    folder_requested = Signal()
    random_requested = Signal()
    tokenizer_requested = Signal()
    settings_changed = Signal(object)
    share_changed = Signal(float)
    refused = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("panel")
        self._settings = DataSettings()
        self._asked: object = None
        self._unread = True
        self.files, self.folder = QPushButton(self.tr("Files…")), QPushButton(self.tr("Folder…"))
        self.noise = QPushButton(self.tr("Random data"))
        self.noise.setToolTip(self.tr("For want of data: no figure from noise says anything about real inputs."))
        self.about = named_label("", "value", wrap=True)
        self.split = named_label("", "caption", wrap=True)
        self.share = Slider(Qt.Orientation.Horizontal)
        self.share.setRange(1, 9)
        self.share.setPageStep(1)
        self.share.setTracking(False)
        self.share.setAccessibleName(self.tr("Share of the samples to calibrate on"))
        self.share.setToolTip(self.tr("Ranges come from these samples, figures from the others."))
        self.said = named_label("", "hint", wrap=True)
        self.trouble = named_label("", "problem", wrap=True)
        for label in (self.about, self.said, self.trouble):
            label.setTextFormat(Qt.TextFormat.PlainText)
        self.trouble.hide()
        self._build_pictures()
        self.tokenizer = QPushButton(self.tr("Tokenizer…"))
        self.tokenizer.setToolTip(self.tr("The tokenizer.json that lines of text are read with."))
        layout = column(self)
        row = QHBoxLayout()
        row.setSpacing(6)
        row.addWidget(self.files)
        row.addWidget(self.folder)
        layout.addLayout(row)
        layout.addWidget(self.noise)
        for widget in (self.about, self.trouble, self.share, self.split, self.said, self.tokenizer, self.pictures):
            layout.addWidget(widget)
        layout.addStretch(1)
        self.files.clicked.connect(self.files_requested)
        self.folder.clicked.connect(self.folder_requested)
        self.noise.clicked.connect(self.random_requested)
        self.tokenizer.clicked.connect(self.tokenizer_requested)
        self.share.valueChanged.connect(self._on_share)
        self.refresh(NetworkState())

    def _build_pictures(self) -> None:
        self.pictures = QWidget()
        self.layout_box, self.colours, self.scale = ComboBox(), ComboBox(), ComboBox()
        for name, tip in (("NCHW", self.tr("colours first")), ("NHWC", self.tr("colours last"))):
            self.layout_box.addItem(f"{name}: {tip}", name)
        for name in ("RGB", "BGR", "L"):
            self.colours.addItem(name, name)
        for factor, text in SCALES:
            self.scale.addItem(text, factor)
        self.mean, self.deviation = QLineEdit(), QLineEdit()
        self.keep_aspect = QCheckBox(self.tr("keep its shape, grey beside it"))
        self.preview = QLabel()
        self.preview.setFixedHeight(PREVIEW.height())
        self.preview.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.preview.setAccessibleName(self.tr("The first picture as the network sees it"))
        inside = column(self.pictures, margin=0)
        inside.addWidget(named_label(self.tr("Pictures"), "section"))
        inside.addLayout(
            form(
                (self.tr("Layout"), self.layout_box),
                (self.tr("Colours"), self.colours),
                (self.tr("Scale"), self.scale),
                (self.tr("Mean"), self.mean),
                (self.tr("Deviation"), self.deviation),
            )
        )
        inside.addWidget(self.keep_aspect)
        inside.addWidget(named_label(self.tr("As the network sees the first one"), "caption"))
        inside.addWidget(self.preview)
        for box, name in (
            (self.layout_box, self.tr("Layout of pictures")),
            (self.colours, self.tr("Colours of pictures")),
            (self.scale, self.tr("What bytes of pictures are multiplied by")),
        ):
            box.setAccessibleName(name)
            box.currentIndexChanged.connect(self._on_picture)
        for line, name, tip in (
            (self.mean, self.tr("Mean of pictures"), self.tr("Taken away after scaling: one number, or one a colour.")),
            (self.deviation, self.tr("Deviation of pictures"), self.tr("Divided by: one number, or one a colour.")),
        ):
            line.setAccessibleName(name)
            line.setToolTip(tip)
            line.editingFinished.connect(self._on_picture)
        self.keep_aspect.toggled.connect(self._on_picture)

    def refresh(self, state: NetworkState) -> None:
        """Show a state, without asking for anything."""
        self._settings = state.settings
        samples, open_network = state.samples, state.prepared is not None
        asked = (state.paths, state.settings, state.prepared)
        if samples is None:
            if not (state.paths and open_network):
                self.about.setText(
                    self.tr(
                        "Drop samples here: .npy, .npz by the names of the inputs, pictures, text, or a folder. "
                        "Without data a network can be quantized dynamically, or its weights alone."
                    )
                )
            elif asked != self._asked:  # else what became of it is said already
                self.show_reading()
            self.said.setText("")
            self.preview.setPixmap(QPixmap())
        elif samples.random:
            self.about.setText(self.tr("RANDOM DATA · {count} samples").format(count=len(samples)))
        else:
            name = (
                state.paths[0].name
                if len(state.paths) == 1
                else self.tr("{count} files").format(count=len(state.paths))
            )
            text = self.tr("{name} · 1 sample") if len(samples) == 1 else self.tr("{name} · {count} samples")
            self.about.setText(text.format(name=name, count=f"{len(samples):,}"))
        if samples is not None or asked != self._asked:
            self.trouble.hide()
        self._asked, self._unread = asked, samples is None
        for widget in (self.files, self.folder, self.noise):
            widget.setEnabled(open_network)
        several = samples is not None and len(samples) > 1
        self.share.setVisible(several)
        self.split.setVisible(samples is not None)
        if samples is not None:
            first, second = state.split()
            self.split.setText(
                self.tr("{first} to calibrate on, {second} held out for the figures").format(
                    first=len(first), second=len(second)
                )
                if several
                else self.tr("One sample: the figures come from what was calibrated on.")
            )
        with quiet((self.share,)):
            self.share.setValue(round(10 * state.calibration_share))
        files: tuple[Path, ...] = samples.files if samples is not None else state.paths
        self.tokenizer.setVisible(any(path.suffix.lower() in TEXTS for path in files))
        self.pictures.setVisible(any(path.suffix.lower() in PICTURES for path in files))
        self._show_picture(state.settings.picture)

    def _show_picture(self, picture: PictureSettings) -> None:
        boxes: tuple[Any, ...] = (
            self.layout_box,
            self.colours,
            self.scale,
            self.mean,
            self.deviation,
            self.keep_aspect,
        )
        with quiet(boxes):
            self.layout_box.setCurrentIndex(self.layout_box.findData(picture.layout))
            self.colours.setCurrentIndex(self.colours.findData(picture.colours))
            at = next((i for i, (factor, _) in enumerate(SCALES) if abs(factor - picture.scale) < 1e-12), -1)
            self.scale.setCurrentIndex(at)
            for line, values in ((self.mean, picture.mean), (self.deviation, picture.deviation)):
                if not line.hasFocus():
                    line.setText(" ".join(f"{value:g}" for value in values))
            self.keep_aspect.setChecked(picture.keep_aspect)

    @Slot(object, object)
    def show_checks(self, spans: object, said: Sequence[Phrase]) -> None:
        """What was seen in the data, a sentence each."""
        self.said.setText("\n".join(told(each) for each in said) or self.tr("Nothing looks wrong with it."))

    @Slot(object)
    def show_picture(self, image: np.ndarray[Any, Any] | None) -> None:
        """The first picture as the network sees it."""
        if image is None:
            self.preview.setPixmap(QPixmap())
            return
        height, width, _ = image.shape
        picture = QImage(image.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888)
        pixmap = QPixmap.fromImage(picture)
        self.preview.setPixmap(
            pixmap.scaled(PREVIEW, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation)
        )

    @Slot()
    def show_reading(self) -> None:
        """Samples are on their way."""
        if self._unread:
            self.trouble.hide()
            self.about.setText(self.tr("Reading…"))

    @Slot()
    def show_unread(self) -> None:
        """Nothing is on its way any more: it was cancelled, or failed."""
        if self._unread:
            self.about.setText(self.tr("These samples were not read; choose them again, or others."))

    @Slot(str)
    def show_problem(self, text: str) -> None:
        """Why the data cannot be used."""
        self.about.setText("")
        self.trouble.setText(text)
        self.trouble.show()

    @Slot(int)
    def _on_share(self, tenths: int) -> None:
        self.share_changed.emit(tenths / 10)

    @Slot()
    def _on_picture(self, *_: object) -> None:
        try:
            numbers = [
                tuple(float(v) for v in box.text().replace(",", " ").split()) for box in (self.mean, self.deviation)
            ]
        except ValueError:
            self.refused.emit(self.tr("Mean and deviation are numbers: one, or one for each colour."))
            self._show_picture(self._settings.picture)
            return
        now = self._settings.picture
        scale = self.scale.currentData()
        try:
            picture = replace(
                now,
                layout=self.layout_box.currentData(),
                colours=self.colours.currentData(),
                scale=now.scale if scale is None else scale,
                mean=numbers[0] or (0.0,),
                deviation=numbers[1] or (1.0,),
                keep_aspect=self.keep_aspect.isChecked(),
            )
        except Problem as problem:
            self.refused.emit(told(problem))
            self._show_picture(now)
            return
        if picture != now:
            self.settings_changed.emit(replace(self._settings, picture=picture))
