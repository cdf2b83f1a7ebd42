"""What does a format store, with all its scales?"""

from __future__ import annotations

import numpy as np

from qviz.core import (
    Codebook,
    FloatFormat,
    IntFormat,
    PerBlock,
    PerToken,
    Scheme,
    choose_qparams,
    storage,
)
from tests.every import every

BLOCKS = PerBlock(-1, 32)
UINT4, UINT5, FP4 = IntFormat(4, False), IntFormat(5, False), FloatFormat("e2m1fn")


@every(
    ("scheme", "codes", "scales", "zero_points"),
    [
        (Scheme(FP4, True, BLOCKS, convention="mx_floor"), 512, 32, 0),
        (Scheme(FloatFormat("e2m3fn"), True, BLOCKS, convention="mx_floor"), 768, 32, 0),
        (Scheme(FP4, True, PerBlock(-1, 16), convention="nvfp4"), 512, 64 + 4, 0),
        (Scheme(UINT4, True, BLOCKS, convention="gguf"), 512, 64, 0),
        (Scheme(UINT4, False, BLOCKS, convention="gguf"), 512, 64, 64),
        (Scheme(UINT5, False, BLOCKS, convention="gguf"), 640, 64, 64),
        (Scheme(Codebook("nf4"), True, PerBlock(-1, 64), convention="textbook"), 512, 64, 0),
        (Scheme(FloatFormat("e4m3fn"), True, convention="textbook"), 1024, 4, 0),
        (Scheme(FloatFormat("bfloat16"), True, convention="textbook"), 2048, 0, 0),
        (Scheme(IntFormat(8), True, PerToken()), 1024, 64, 0),
        (Scheme(UINT4, False, BLOCKS), 512, 128, 16),
    ],
    ids=lambda each: each.convention if isinstance(each, Scheme) else None,
)
def test_what_a_format_stores(scheme, codes, scales, zero_points):
    x = np.random.default_rng(4).standard_normal((16, 64))
    s = storage(x.size, choose_qparams(x, scheme))
    assert (s.code_bytes, s.scale_bytes, s.zero_point_bytes) == (codes, scales, zero_points)
