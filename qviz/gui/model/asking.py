"""Which files does a person choose on the Model page: a network, samples, a tokenizer, a place for a result?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtWidgets import QFileDialog

from qviz.core.problems import Problem
from qviz.files.results import save_json
from qviz.gui.model.parts import ModelParts
from qviz.models.deployment import deployment_choices
from qviz.models.recipes import Recipe
from qviz.session.language import told
from qviz.session.networks import Networks


class Asking(QObject):
    """Opens dialogs, which begin in the folder that was used last.

    Signals
    -------
    problem(str)
    """

    problem = Signal(str)

    def __init__(self, networks: Networks, parts: ModelParts) -> None:
        super().__init__(parts)
        self.networks, self._parts = networks, parts
        self.folder = ""
        parts.network.open_requested.connect(self.choose_file)
        parts.data.files_requested.connect(self.choose_data)
        parts.data.folder_requested.connect(self.choose_data_folder)
        parts.data.tokenizer_requested.connect(self.choose_tokenizer)
        parts.deploy.quantize_requested.connect(self._on_quantize)
        parts.deploy.save_requested.connect(self.save_choices)
        parts.compare_button.clicked.connect(self.choose_quantized)

    def open(self, path: Path) -> None:
        """Another network."""
        self.folder = str(path.parent)
        self._parts.docks["network_panel"].raise_()
        self.networks.open(path)

    @Slot()
    def choose_file(self) -> None:
        text, _ = QFileDialog.getOpenFileName(
            self._parts, self.tr("Open a network"), self.folder, self.tr("ONNX models (*.onnx);;All files (*)")
        )
        if text:
            self.open(Path(text))

    @Slot()
    def choose_quantized(self) -> None:
        text, _ = QFileDialog.getOpenFileName(
            self._parts, self.tr("A network that was quantized"), self.folder, self.tr("ONNX models (*.onnx)")
        )
        if text:
            self.folder = str(Path(text).parent)
            seconds = float(self._parts.deploy.seconds.value())
            self._try(lambda: self.networks.compare(Path(text), seconds=seconds))

    @Slot()
    def save_choices(self) -> None:
        """What ONNX Runtime's own tools can be told of the schemes chosen here."""
        state = self.networks.state
        if state.prepared is None:
            return
        text, _ = QFileDialog.getSaveFileName(
            self._parts, self.tr("Save the choices"), str(Path(self.folder) / "choices.json"), "JSON (*.json)"
        )
        if text:
            choices = deployment_choices(state.prepared.network, state.scheme, state.own)
            self._try(lambda: save_json(Path(text), choices))

    def _try(self, act: Callable[[], object]) -> None:
        try:
            act()
        except Problem as problem:
            self.problem.emit(told(problem))

    @Slot()
    def choose_data(self) -> None:
        texts, _ = QFileDialog.getOpenFileNames(
            self._parts,
            self.tr("Samples"),
            self.folder,
            self.tr("Samples (*.npy *.npz *.png *.jpg *.jpeg *.bmp *.webp *.txt *.jsonl);;All files (*)"),
        )
        if texts:
            self.folder = str(Path(texts[0]).parent)
            self.networks.read(tuple(Path(text) for text in texts))

    @Slot()
    def choose_data_folder(self) -> None:
        text = QFileDialog.getExistingDirectory(self._parts, self.tr("Folder of samples"), self.folder)
        if text:
            self.folder = text
            self.networks.read((Path(text),))

    @Slot()
    def choose_tokenizer(self) -> None:
        text, _ = QFileDialog.getOpenFileName(
            self._parts, self.tr("Tokenizer"), self.folder, self.tr("Tokenizers (tokenizer.json *.json)")
        )
        if text:
            state = self.networks.state
            self.networks.read(state.paths, replace(state.settings, tokenizer=Path(text)))

    @Slot(object)
    def _on_quantize(self, recipe: Recipe) -> None:
        path = self.networks.state.path
        stem = f"{path.stem}-{recipe.method}.onnx" if path is not None else "quantized.onnx"
        text, _ = QFileDialog.getSaveFileName(
            self._parts, self.tr("Quantize into"), str(Path(self.folder) / stem), self.tr("ONNX models (*.onnx)")
        )
        if text:
            output = Path(text) if Path(text).suffix else Path(text).with_suffix(".onnx")
            self._parts.docks["runs_table"].raise_()
            seconds = float(self._parts.deploy.seconds.value())
            self._try(lambda: self.networks.deploy(recipe, output, seconds=seconds))
