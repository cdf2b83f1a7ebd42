"""Each runtime's arithmetic, as one frozen record in one table."""

from __future__ import annotations

from qviz.core.problems import Problem
from qviz.core.runtimes.aimet import AIMET, AIMET_STRICT
from qviz.core.runtimes.bitsandbytes import BITSANDBYTES, BITSANDBYTES_DOUBLE
from qviz.core.runtimes.blockwise import ONNXRUNTIME_BLOCKS
from qviz.core.runtimes.gguf import GGUF
from qviz.core.runtimes.llamacpp import K_QUANTS
from qviz.core.runtimes.llamacpp_levels import IQ4_NL, IQ4_XS
from qviz.core.runtimes.llamacpp_scales import GGML_MXFP4, GGML_NVFP4, TQ1_0, TQ2_0
from qviz.core.runtimes.matmulnbits import HQQ, K_QUANT, MATMULNBITS, MATMULNBITS_QDQ
from qviz.core.runtimes.microscaling import MICROSCALING
from qviz.core.runtimes.nncf import NNCF
from qviz.core.runtimes.nncf_activations import NNCF_ACTIVATIONS
from qviz.core.runtimes.nncf_quantized import NNCF_QUANTIZED
from qviz.core.runtimes.nvfp4 import NVFP4, NVFP4_SINGLE
from qviz.core.runtimes.onnxruntime import (
    ONNXRUNTIME,
    ONNXRUNTIME_DYNAMIC,
    ONNXRUNTIME_FLOAT8,
    ONNXRUNTIME_REDUCE_RANGE,
)
from qviz.core.runtimes.paddle import PADDLE
from qviz.core.runtimes.record import Convention
from qviz.core.runtimes.tensorrt import TENSORRT
from qviz.core.runtimes.textbook import TEXTBOOK
from qviz.core.runtimes.tflite import TFLITE
from qviz.core.runtimes.torch import PYTORCH, PYTORCH_REDUCE_RANGE, TORCHAO, TORCHAO_INT8
from qviz.core.runtimes.torch_ends import PYTORCH_QAT, TORCHAO_NO_CLIPPING
from qviz.core.runtimes.unsaturated import CAST_FLOAT8, ONNXRUNTIME_UNSATURATED

CONVENTIONS: dict[str, Convention] = {
    convention.name: convention
    for convention in (
        TEXTBOOK,
        ONNXRUNTIME,
        ONNXRUNTIME_REDUCE_RANGE,
        ONNXRUNTIME_DYNAMIC,
        ONNXRUNTIME_BLOCKS,
        MATMULNBITS,
        MATMULNBITS_QDQ,
        K_QUANT,
        HQQ,
        ONNXRUNTIME_FLOAT8,
        ONNXRUNTIME_UNSATURATED,
        CAST_FLOAT8,
        PYTORCH,
        PYTORCH_REDUCE_RANGE,
        PYTORCH_QAT,
        TORCHAO,
        TORCHAO_INT8,
        TORCHAO_NO_CLIPPING,
        NNCF,
        NNCF_QUANTIZED,
        NNCF_ACTIVATIONS,
        PADDLE,
        TENSORRT,
        AIMET,
        AIMET_STRICT,
        TFLITE,
        *MICROSCALING,
        NVFP4,
        NVFP4_SINGLE,
        GGUF,
        *K_QUANTS,
        IQ4_NL,
        IQ4_XS,
        TQ1_0,
        TQ2_0,
        GGML_MXFP4,
        GGML_NVFP4,
        BITSANDBYTES_DOUBLE,
        BITSANDBYTES,
    )
}
"""Every convention by its name; a new runtime is a row."""


def convention_named(name: str) -> Convention:
    """The convention called ``name``.

    Raises
    ------
    Problem
        When there is none.
    """
    try:
        return CONVENTIONS[name]
    except KeyError:
        raise Problem(
            "There is no convention “{name}”: choose one of {choices}.", name=name, choices=", ".join(CONVENTIONS)
        ) from None
