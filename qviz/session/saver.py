"""How are large results written without holding up the window? One after the other, in a worker."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import Signal, Slot

from qviz.core.printable import printable
from qviz.core.problems import N_, Phrase
from qviz.core.tensors.tensor import Tensor
from qviz.session.in_order import InOrder

if TYPE_CHECKING:
    from qviz.core.questions.analysis import Analysis


class Saver(InOrder):
    """Writes what it is given."""

    saved = Signal(str)

    @Slot(object, object)
    def save_quantized(self, path: Path, analysis: Analysis) -> None:
        """Codes and scales, in the form that the ending of the name tells."""
        from qviz.files.writers import save_as

        self._add(path, lambda: save_as(path, analysis))

    @Slot(object, object)
    def save_tensor(self, path: Path, tensor: Tensor) -> None:
        """The values as ``.npy``."""
        from qviz.files.results import save_tensor

        self._add(path, lambda: save_tensor(path, np.asarray(tensor.values[:]).reshape(tensor.shape)))

    def _answer(self, key: Path, found: object) -> None:
        self.saved.emit(self.tr("Saved {name}.").format(name=printable(key.name)))
        super()._answer(key, found)

    def _purpose(self, key: Path) -> Phrase:
        return Phrase(N_("saving {name}"), name=printable(key.name))
