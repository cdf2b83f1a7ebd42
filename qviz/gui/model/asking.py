"""Which files does a person choose on the Model page: a network, samples, a tokenizer, a place for a result?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal, Slot
from PySide6.QtWidgets import QFileDialog

from qviz.core.problems import Problem
from qviz.gui.model.parts import ModelParts
from qviz.gui.model.viewers_menu import node_data
from qviz.models.node_data import save_node_data
from qviz.models.recipes import Recipe
from qviz.session.language import told
from qviz.session.network_files import ENCODINGS, TABLE
from qviz.session.network_state import DeployedRun
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
        parts.network.close_requested.connect(networks.close_network)
        parts.data.files_requested.connect(self.choose_data)
        parts.data.folder_requested.connect(self.choose_data_folder)
        parts.data.tokenizer_requested.connect(self.choose_tokenizer)
        parts.deploy.quantize_requested.connect(self._on_quantize)
        parts.deploy.save_requested.connect(self.save_choices)
        parts.traces.trace_requested.connect(self.trace)
        parts.traces.save_requested.connect(self.save_reproduction)
        parts.viewers.requested.connect(self.save_for_viewer)
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
            self._try(lambda: self.networks.compare(Path(text), **self._measuring()))

    @Slot()
    def save_choices(self) -> None:
        """What ONNX Runtime's own tools can be told of the schemes chosen here."""
        state = self.networks.state
        if state.prepared is None:
            return
        kinds = {
            self.tr("ONNX Runtime's tools (*.json)"): ".json",
            self.tr("AIMET encodings, for QNN (*.encodings)"): ENCODINGS,
            self.tr("TensorRT calibration table (*.flatbuffers)"): TABLE,
        }
        text, kind = QFileDialog.getSaveFileName(
            self._parts, self.tr("Save the choices"), str(Path(self.folder) / "choices.json"), ";;".join(kinds)
        )
        if text:
            path, ending = Path(text), kinds.get(kind, ".json")
            if path.suffix.lower() not in kinds.values() or (kind and path.name == "choices.json"):
                path = path.with_suffix(ending)
            self._try(lambda: self.networks.save_choices(path))

    @Slot(object)
    def trace(self, run: DeployedRun) -> None:
        """Why are codes of this run one off?"""
        self._try(lambda: self.networks.tracer.trace(run, self.networks.state))

    @Slot(object, str)
    def save_reproduction(self, run: DeployedRun, node: str) -> None:
        """One node by itself, for whoever mends the runtime."""
        text = QFileDialog.getExistingDirectory(self._parts, self.tr("Folder for the reproduction"), self.folder)
        if text:
            self._try(lambda: self.networks.tracer.save(run, self.networks.state, node, Path(text)))

    @Slot(str)
    def save_for_viewer(self, viewer: str) -> None:
        """What was found out about each layer, for Netron or Model Explorer."""
        state, rows = self.networks.state, self._parts.layers.table.figures.rows
        if state.path is None or not self.networks.losses:
            self.problem.emit(self.tr("Ask which layer hurts first: there are no figures yet that could be written."))
            return
        name = f"{state.path.stem}-{viewer.replace('_', '-')}.json"
        text, _ = QFileDialog.getSaveFileName(
            self._parts, self.tr("Save the figures"), str(Path(self.folder) / name), "JSON (*.json)"
        )
        if text:
            self._try(lambda: save_node_data(Path(text), node_data(rows, viewer)))

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
            self._try(lambda: self.networks.deploy(recipe, output, **self._measuring()))

    def _measuring(self) -> dict[str, Any]:
        deploy = self._parts.deploy
        return {"seconds": float(deploy.seconds.value()), "threads": deploy.threads.value()}
