"""A quantized weight is a scheme of qviz with the file's own scales, which changes none of its values."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from qviz.core import choose_qparams, fake_quantize
from qviz.files.readers import list_tensors
from qviz.files.recognized import recognized
from tests.every import every

FOLDER = Path(__file__).parents[1] / "golden" / "checkpoints" / "quantized"
RECOGNIZED = {
    "bitsandbytes_int8": ("int8", "axis"),
    "compressed_float8": ("float8_e4m3fn", "axis"),
    "compressed_float8_tensor": ("float8_e4m3fn", "tensor"),
    "compressed_int4_group": ("int4", "block"),
    "compressed_int4_group_bf16": ("int4", "block"),
    "compressed_int8": ("int8", "axis"),
    "compressed_int8_packed": ("int8", "axis"),
    "torchao_float8": ("float8_e4m3fn", "axis"),
    "torchao_int8": ("int8", "axis"),
}


@every("path", sorted(FOLDER.glob("*.safetensors")), ids=lambda path: path.stem)
def test_every_value_is_one_that_a_code_stands_for(path: Path) -> None:
    (entry,) = list_tensors(path)
    scheme = recognized(entry)
    if path.stem not in RECOGNIZED:
        assert scheme is None
        return
    assert scheme is not None
    assert (scheme.number_format.name, scheme.granularity.kind, scheme.symmetric) == (*RECOGNIZED[path.stem], True)
    values = np.asarray(entry.load()[:]).reshape(entry.shape or ())
    again = fake_quantize(values, choose_qparams(values, scheme))
    np.testing.assert_allclose(again, values, rtol=2e-7)
