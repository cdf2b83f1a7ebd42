"""How would a person get the same codes from a runtime itself? A script for each runtime that can be asked."""

from __future__ import annotations

from qviz.core.arithmetic.qparams import QParams
from qviz.core.problems import Phrase, Problem
from qviz.core.scripts.casts import CAST_SCRIPT
from qviz.core.scripts.common import RuntimeScript, granularity_words
from qviz.core.scripts.onnxruntime import ONNXRUNTIME_SCRIPT
from qviz.core.scripts.paddle import PADDLE_SCRIPT
from qviz.core.scripts.torch import TORCH_SCRIPT

RUNTIME_SCRIPTS: dict[str, RuntimeScript] = {
    "onnxruntime": ONNXRUNTIME_SCRIPT,
    "torch": TORCH_SCRIPT,
    "paddle": PADDLE_SCRIPT,
    "ml_dtypes": CAST_SCRIPT,
}
"""Every runtime that can be asked; a new one is a row."""


def runtimes_of(qparams: QParams) -> tuple[str, ...]:
    """The keys of `RUNTIME_SCRIPTS` that `runtime_snippet` has a script for."""
    return tuple(name for name, script in RUNTIME_SCRIPTS.items() if script.offers(qparams))


def runtime_snippet(qparams: QParams, runtime: str, source: str = "tensor.npy", *, all_finite: bool = True) -> str:
    """A script that has a runtime quantize an array with these parameters, to exactly the codes of qviz.

    Parameters
    ----------
    qparams : QParams
    runtime : str
        A key of `RUNTIME_SCRIPTS`.
    source : str
        The ``.npy`` file that the script reads.
    all_finite : bool
        False adds what gives NaN the code of qviz, where the runtime leaves it open.

    Raises
    ------
    Problem
        When the runtime's own functions would give other codes.
    """
    script = RUNTIME_SCRIPTS[runtime]
    if not script.offers(qparams):
        others = [RUNTIME_SCRIPTS[name].label for name in runtimes_of(qparams)]
        instead = (
            Phrase("take the script for {runtimes}, or", runtimes=" or ".join(others))
            if others
            else Phrase("choose its own convention, or")
        )
        raise Problem(
            "{runtime} has no function that gives these codes: {instead} take the NumPy script.",
            runtime=script.label,
            instead=instead,
        )
    scheme = qparams.scheme
    how = "symmetric" if scheme.symmetric else "asymmetric"
    lines = [
        "import numpy as np",
        *script.imports(qparams),
        "",
        f"# {qparams.number_format.name}, {how}, {granularity_words(qparams)}, {qparams.convention.label} arithmetic",
        f"x = np.load({source!r}).astype(np.float32)",
    ]
    lines += script.lines(qparams, all_finite)
    return "\n".join([*lines, 'print("codes", codes.reshape(-1)[:10])']) + "\n"
