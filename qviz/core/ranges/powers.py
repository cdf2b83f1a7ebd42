"""What is torch's power of float32 numbers, to the last bit?

torch calls ``Sleef_powf_u10``: exp(y·log x) by two polynomials in pairs of float32. A pair holds 48 bits, so that
float64 stands in for it here; the coefficients, and where float32 rounds them, are Sleef's (``sleefsimdsp.c``).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qviz.core.arrays import FloatArray

_F, _D = np.float32, np.float64

LOG_TERMS = (_F(0.240320354700088500976562), _F(0.285112679004669189453125), _F(0.400007992982864379882812))
LOG_CUBE = _D(_F(0.66666662693023681640625)) + _D(_F(3.69183861259614332084311e-09))
LOG_OF_2 = _D(_F(0.69314718246459960938)) + _D(_F(-1.904654323148236017e-09))
EXP_TERMS = tuple(
    map(
        _F,
        (
            0.00136324646882712841033936,
            0.00836596917361021041870117,
            0.0416710823774337768554688,
            0.166665524244308471679688,
            0.499999850988388061523438,
        ),
    )
)
ONE_BY_LOG_2 = _F(1.44269504088896340736)
UPPER_LOG_OF_2, LOWER_LOG_OF_2 = _F(0.693145751953125), _F(1.428606765330187045e-06)
CENTRE = _F(1 / 0.75)
"""A mantissa lies between 0.75 and 1.5."""


TOGETHER = 1 << 13
"""Numbers that are raised at once: what is computed on the way stays in the cache."""


def torch_power(x: FloatArray, exponent: float) -> FloatArray:
    """``torch.pow(x, exponent)`` for positive normal float32 numbers."""
    flat, out = x.reshape(-1), np.empty(x.size, _F)
    for start in range(0, x.size, TOGETHER):
        part = slice(start, start + TOGETHER)
        out[part] = _power(flat[part], exponent)
    return out.reshape(x.shape)


def _power(x: FloatArray, exponent: float) -> FloatArray:
    _, power = np.frexp(x.astype(_D) * _D(CENTRE))
    power = power - 1
    mantissa = np.ldexp(x.astype(_D), -power)
    ratio = (mantissa - 1) / (mantissa + 1)
    square = ratio * ratio
    term = _polynomial(LOG_TERMS, square.astype(_F))
    log = LOG_OF_2 * power + 2 * ratio + square * ratio * (square * term + LOG_CUBE)
    wanted = log * _D(_F(exponent))
    whole = np.rint(wanted.astype(_F) * ONE_BY_LOG_2)
    rest = wanted - (whole * UPPER_LOG_OF_2).astype(_D) - (whole * LOWER_LOG_OF_2).astype(_D)
    mantissa = 1 + (rest + rest * rest * _polynomial(EXP_TERMS, rest.astype(_F)))
    return np.asarray(np.ldexp(mantissa.astype(_F), np.nan_to_num(whole).astype(np.int32)))


def _polynomial(terms: tuple[Any, ...], x: FloatArray) -> FloatArray:
    """By Horner's rule, where a product and a sum are rounded once."""
    value = np.full(x.shape, terms[0], _F)
    for term in terms[1:]:
        value = (value.astype(_D) * x.astype(_D) + _D(term)).astype(_F)
    return value
