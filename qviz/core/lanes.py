"""How do sixteen searches go on at once? Vectors of sixteen float32 numbers, which NumPy and the compiler both know.

A compiler makes no vector code of a search by itself: it may not reorder the sums of a group. Sixteen groups beside
one another need no other order, for each lane adds up its own. In Python a vector is an array of shape (16,), and a
mask one of bool: write ``a = a + b``, for ``a += b`` would change every name of the array. Compiled it is a register,
or as many as the processor needs. Each operation is rounded once, whatever the processor.
"""

from __future__ import annotations

import functools
import operator
from typing import Any

import numpy as np

LANES = 16
"""Numbers of a vector."""

WHOLE = np.float32(12582912)
"""Added to a float32 of ordinary size, it leaves the nearest whole number in the mantissa."""

MANTISSA, MIDDLE = np.int32(0x007FFFFF), np.int32(0x00400000)

FLOAT, WORD, BYTE, BIT = "float", "32 bits", "8 bits", "1 bit"
"""What the elements of a compiled vector are."""


def load(array: Any, at: Any) -> Any:
    """Sixteen neighbours of a float32 array."""
    return array[at : at + LANES].copy()


def store(array: Any, at: Any, lanes: Any) -> None:
    """Put a vector into a float32 array."""
    array[at : at + LANES] = lanes


def store_codes(array: Any, at: Any, lanes: Any) -> None:
    """Put a vector of whole numbers from 0 to 127 into a uint8 array."""
    array[at : at + LANES] = lanes.astype(np.uint8)


def spread(value: Any) -> Any:
    """The same float32 number in every lane."""
    return np.full(LANES, value, np.float32)


def choose(mask: Any, one: Any, other: Any) -> Any:
    """``one`` where the mask is, else ``other``."""
    return np.where(mask, one, other)


def magnitude(lanes: Any) -> Any:
    """How far from 0."""
    return np.abs(lanes)


def root(lanes: Any) -> Any:
    """Square roots."""
    return np.sqrt(lanes)


def anywhere(mask: Any) -> Any:
    """Whether the mask is in any lane."""
    return bool(np.any(mask))


def clamped(lanes: Any, first: Any, last: Any) -> Any:
    """The nearest whole numbers as `ggml_search.nearest` has them, no less than ``first``, no more than ``last``."""
    whole = ((lanes + WHOLE).view(np.int32) & MANTISSA) - MIDDLE
    return np.maximum(first, np.minimum(last, whole)).astype(np.float32)


@functools.cache
def teach(numba: Any) -> None:
    """Tell the compiler what a vector is, and which instructions the functions of this module are."""
    lanes, mask = _vector(numba, "Lanes", FLOAT), _vector(numba, "Mask", BIT)
    types = numba.types
    for function, name in (("add", "fadd"), ("sub", "fsub"), ("mul", "fmul"), ("truediv", "fdiv")):
        _teach(numba, getattr(operator, function), (lanes, lanes), lanes, _operation(name))
    for function, name in (("lt", "<"), ("gt", ">"), ("le", "<="), ("ge", ">="), ("eq", "==")):
        _teach(numba, getattr(operator, function), (lanes, lanes), mask, _operation("fcmp_ordered", name))
    _teach(numba, operator.ne, (lanes, lanes), mask, _operation("fcmp_unordered", "!="))
    _teach(numba, operator.and_, (mask, mask), mask, _operation("and_"))
    _teach(numba, operator.neg, (lanes,), lanes, _operation("fneg"))
    _teach(numba, load, (types.Array, types.Integer), lanes, _load)
    _teach(numba, store, (types.Array, types.Integer, lanes), types.none, _store)
    _teach(numba, store_codes, (types.Array, types.Integer, lanes), types.none, _store_codes)
    _teach(numba, spread, (types.Float,), lanes, lambda context, builder, signature, given: _same(builder, *given))
    _teach(numba, choose, (mask, lanes, lanes), lanes, _operation("select"))
    _teach(numba, magnitude, (lanes,), lanes, _called(f"llvm.fabs.v{LANES}f32"))
    _teach(numba, root, (lanes,), lanes, _called(f"llvm.sqrt.v{LANES}f32"))
    _teach(numba, anywhere, (mask,), types.boolean, _anywhere)
    _teach(numba, clamped, (lanes, types.int32, types.int32), lanes, _clamp)


def _vector(numba: Any, name: str, element: str) -> Any:
    """A type whose values are vectors of ``element``."""
    primitive = numba.extending.models.PrimitiveModel

    def start(self: Any, manager: Any, frontend: Any) -> None:
        primitive.__init__(self, manager, frontend, _vector_of(element))

    kind = type(name, (numba.types.Type,), {})
    numba.extending.register_model(kind)(type(f"{name}Model", (primitive,), {"__init__": start}))
    return kind(name=name)


def _teach(numba: Any, function: Any, given: tuple[Any, ...], returns: Any, generate: Any) -> None:
    """What a function returns, and its instructions; ``given`` are types, or classes of them, of its arguments."""

    def typed(*arguments: Any) -> Any:
        pairs = zip(arguments, given, strict=True)
        fits = all(isinstance(one, kind) if isinstance(kind, type) else one == kind for one, kind in pairs)
        return returns if fits else None

    def one(a: Any) -> Any:
        return typed(a)

    def two(a: Any, b: Any) -> Any:
        return typed(a, b)

    def three(a: Any, b: Any, c: Any) -> Any:
        return typed(a, b, c)

    numba.extending.type_callable(function)(lambda context: (one, two, three)[len(given) - 1])
    numba.extending.lower_builtin(function, *given)(generate)


def _vector_of(element: str) -> Any:
    from llvmlite import ir

    kinds = {FLOAT: ir.FloatType(), WORD: ir.IntType(32), BYTE: ir.IntType(8), BIT: ir.IntType(1)}
    return ir.VectorType(kinds[element], LANES)


def _place(context: Any, builder: Any, signature: Any, arguments: Any, element: str) -> Any:
    """Where sixteen elements of an array begin."""
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    return builder.bitcast(builder.gep(array.data, [arguments[1]]), _vector_of(element).as_pointer())


def _load(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    return builder.load(_place(context, builder, signature, arguments, FLOAT), align=4)


def _store(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    builder.store(arguments[2], _place(context, builder, signature, arguments, FLOAT), align=4)
    return context.get_dummy_value()


def _store_codes(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    codes = builder.fptosi(arguments[2], _vector_of(BYTE))
    builder.store(codes, _place(context, builder, signature, arguments, BYTE), align=1)
    return context.get_dummy_value()


def _same(builder: Any, value: Any) -> Any:
    """A number in every lane."""
    from llvmlite import ir

    kind, places = ir.VectorType(value.type, LANES), _vector_of(WORD)
    nothing = ir.Constant(kind, ir.Undefined)
    one = builder.insert_element(nothing, value, ir.Constant(places.element, 0))
    return builder.shuffle_vector(one, nothing, ir.Constant(places, [0] * LANES))


def _call(builder: Any, name: str, *arguments: Any) -> Any:
    """What an intrinsic function of LLVM returns, whose arguments are all of one type."""
    from llvmlite import ir

    kind = ir.FunctionType(arguments[0].type, [arguments[0].type] * len(arguments))
    function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
    return builder.call(function, arguments)


def _called(name: str) -> Any:
    return lambda context, builder, signature, arguments: _call(builder, name, *arguments)


def _operation(name: str, *words: str) -> Any:
    return lambda context, builder, signature, arguments: getattr(builder, name)(*words, *arguments)


def _anywhere(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    from llvmlite import ir

    packed = ir.IntType(LANES)
    return builder.icmp_unsigned("!=", builder.bitcast(arguments[0], packed), ir.Constant(packed, 0))


def _clamp(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    from llvmlite import ir

    def whole(value: np.int32) -> Any:
        return _same(builder, ir.Constant(ir.IntType(32), int(value)))

    shifted = builder.fadd(arguments[0], _same(builder, ir.Constant(ir.FloatType(), float(WHOLE))))
    bits = builder.bitcast(shifted, _vector_of(WORD))
    found = builder.sub(builder.and_(bits, whole(MANTISSA)), whole(MIDDLE))
    found = _call(builder, f"llvm.smin.v{LANES}i32", found, _same(builder, arguments[2]))
    found = _call(builder, f"llvm.smax.v{LANES}i32", found, _same(builder, arguments[1]))
    return builder.sitofp(found, _vector_of(FLOAT))
