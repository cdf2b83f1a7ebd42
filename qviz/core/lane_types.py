"""Which instructions are vectors of sixteen numbers to the compiler? The functions of `qviz.core.lanes`, compiled."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterator
from typing import Any

import numpy as np

from qviz.core.lanes import (
    LANES,
    MANTISSA,
    MIDDLE,
    WHOLE,
    any_marks,
    anywhere,
    anywhere_negative,
    bits_of,
    choose,
    clamped,
    either,
    exceeds,
    first_eight,
    floored,
    greater,
    greatest_of,
    how_many_negative,
    larger,
    largest_of,
    largest_of_eight,
    last_eight,
    least_of,
    lesser,
    load,
    load_eight,
    load_words,
    looked_up,
    looked_up_near,
    magnitude,
    marked,
    moved_down,
    nearest,
    no_marks,
    nothing,
    numbers_of,
    root,
    spread,
    store,
    store_codes,
    store_eight,
    store_words,
    sum_of,
    sums_of_eight,
    truncated,
    unmarked,
    whole,
    widened_eight,
    with_marks,
    with_product,
    with_squares_of_negative,
)

Row = tuple[Any, tuple[Any, ...], Any, Any]
"""A function, the types of its arguments, what it returns, and what makes its instructions."""

HALF = LANES // 2

FLOAT, DOUBLE, WORD, BYTE, BIT = "float", "double", "32 bits", "8 bits", "1 bit"
"""What the elements of a vector are."""


@functools.cache
def teach(numba: Any) -> None:
    """Tell the compiler what a vector is, and which instructions the functions of `qviz.core.lanes` are."""
    lanes, words, mask = _vector(numba, "Lanes", FLOAT), _vector(numba, "Words", WORD), _vector(numba, "Mask", BIT)
    eight, marks = _vector(numba, "Eight", DOUBLE, HALF), _vector(numba, "Marks", WORD, HALF)
    rows = (
        *_arithmetic(lanes, eight, words, mask),
        *_memory(numba.types, lanes, eight, words),
        *_changes(numba.types, lanes, eight, words, mask),
        *_sums(numba.types, lanes, eight, words, mask, marks),
    )
    for function, given, returns, generate in rows:
        _teach(numba, function, given, returns, generate)


def _arithmetic(lanes: Any, eight: Any, words: Any, mask: Any) -> Iterator[Row]:
    """Operators."""
    for symbol, name in (("add", "fadd"), ("sub", "fsub"), ("mul", "fmul"), ("truediv", "fdiv")):
        for kind in (lanes, eight):
            yield getattr(operator, symbol), (kind, kind), kind, _operation(name)
    for symbol, name in (("lt", "<"), ("gt", ">"), ("le", "<="), ("ge", ">="), ("eq", "==")):
        yield getattr(operator, symbol), (lanes, lanes), mask, _operation("fcmp_ordered", name)
    yield operator.ne, (lanes, lanes), mask, _operation("fcmp_unordered", "!=")
    yield operator.neg, (lanes,), lanes, _operation("fneg")
    for symbol in ("add", "sub", "mul", "and_", "or_"):
        yield getattr(operator, symbol), (words, words), words, _operation(symbol)
    for symbol, name in (("lt", "<"), ("gt", ">"), ("ne", "!=")):
        yield getattr(operator, symbol), (words, words), mask, _operation("icmp_signed", name)
    yield exceeds, (words, words), mask, _operation("icmp_unsigned", ">")
    yield operator.and_, (mask, mask), mask, _operation("and_")
    yield either, (mask, mask), mask, _operation("or_")
    yield unmarked, (words, words), words, _leave_out


def _memory(types: Any, lanes: Any, eight: Any, words: Any) -> Iterator[Row]:
    """From arrays and into them."""
    place = types.Array, types.Integer
    yield load, place, lanes, _load(FLOAT, 4)
    yield load_words, place, words, _load(WORD, 4)
    yield load_eight, place, eight, _load(DOUBLE, 8, HALF)
    yield store, (*place, lanes), types.none, _store(FLOAT, 4)
    yield store_words, (*place, words), types.none, _store(WORD, 4)
    yield widened_eight, place, eight, _load_wider
    yield store_eight, (*place, eight), types.none, _store(DOUBLE, 8, HALF)
    yield store_codes, (*place, lanes), types.none, _store_codes


def _changes(types: Any, lanes: Any, eight: Any, words: Any, mask: Any) -> Iterator[Row]:
    """What becomes of each number by itself."""
    for given, kind in ((types.Float, lanes), (types.Integer, words)):
        yield spread, (given,), kind, lambda context, builder, signature, arguments: _same(builder, *arguments)
    yield marked, (mask,), words, _changed("sext", WORD)
    yield bits_of, (lanes,), words, _changed("bitcast", WORD)
    yield numbers_of, (words,), lanes, _changed("bitcast", FLOAT)
    yield whole, (lanes,), words, _changed("fptosi", WORD)
    yield moved_down, (words, types.Integer), words, _move_down
    for function, name in ((root, "sqrt"), (nearest, "rint"), (floored, "floor"), (truncated, "trunc")):
        yield function, (lanes,), lanes, _called(f"llvm.{name}.v{LANES}f32")
    for kind, name in ((lanes, f"v{LANES}f32"), (eight, f"v{HALF}f64")):
        yield magnitude, (kind,), kind, _called(f"llvm.fabs.{name}")
    for half, function in enumerate((first_eight, last_eight)):
        yield function, (lanes,), eight, _wider(half)
    for kind in (lanes, words):
        yield choose, (mask, kind, kind), kind, _operation("select")
    yield lesser, (lanes, lanes), lanes, _better("<")
    yield greater, (lanes, lanes), lanes, _better(">")
    for kind, name in ((lanes, f"v{LANES}f32"), (eight, f"v{HALF}f64")):
        yield with_product, (kind, kind, kind), kind, _with_product(name)
    yield looked_up, (lanes, words), lanes, _look_up
    yield looked_up_near, (lanes, words), lanes, _look_up_near
    yield clamped, (lanes, types.int32, types.int32), lanes, _clamp


def _sums(types: Any, lanes: Any, eight: Any, words: Any, mask: Any, marks: Any) -> Iterator[Row]:
    """What many numbers come to."""
    yield nothing, (), eight, lambda context, builder, signature, arguments: _zeros(DOUBLE, HALF)
    yield larger, (eight, eight), eight, _better(">")
    yield sum_of, (eight,), types.float64, _sum
    yield largest_of, (eight,), types.float64, _best(">")
    for function, across in ((sums_of_eight, _sum_of), (largest_of_eight, _larger_of)):
        yield function, (types.Array, types.Integer), eight, _across(across)
    yield least_of, (lanes,), types.float32, _best("<")
    yield greatest_of, (lanes,), types.float32, _best(">")
    yield anywhere, (mask,), types.boolean, _anywhere
    yield with_squares_of_negative, (eight, words, eight, eight), eight, _with_squares_of_negative
    yield anywhere_negative, (words,), types.boolean, _anywhere_negative
    yield no_marks, (), marks, lambda context, builder, signature, arguments: _zeros(WORD, HALF)
    yield with_marks, (marks, words), marks, _with_marks
    yield any_marks, (marks,), types.boolean, _any_marks
    yield how_many_negative, (words,), types.int64, _count


def _vector(numba: Any, name: str, element: str, lanes: int = LANES) -> Any:
    """A type whose values are vectors of ``element``."""
    primitive = numba.extending.models.PrimitiveModel

    def start(self: Any, manager: Any, frontend: Any) -> None:
        primitive.__init__(self, manager, frontend, _vector_of(element, lanes))

    kind = type(name, (numba.types.Type,), {})
    numba.extending.register_model(kind)(type(f"{name}Model", (primitive,), {"__init__": start}))
    return kind(name=name)


def _teach(numba: Any, function: Any, given: tuple[Any, ...], returns: Any, generate: Any) -> None:
    """What a function returns, and its instructions; ``given`` are types, or classes of them, of its arguments."""

    def typed(*arguments: Any) -> Any:
        pairs = zip(arguments, given, strict=True)
        fits = all(isinstance(one, kind) if isinstance(kind, type) else one == kind for one, kind in pairs)
        return returns if fits else None

    def none() -> Any:
        return typed()

    def one(a: Any) -> Any:
        return typed(a)

    def two(a: Any, b: Any) -> Any:
        return typed(a, b)

    def three(a: Any, b: Any, c: Any) -> Any:
        return typed(a, b, c)

    def four(a: Any, b: Any, c: Any, d: Any) -> Any:
        return typed(a, b, c, d)

    numba.extending.type_callable(function)(lambda context: (none, one, two, three, four)[len(given)])
    numba.extending.lower_builtin(function, *given)(generate)


def _vector_of(element: str, lanes: int = LANES) -> Any:
    from llvmlite import ir

    floats = {FLOAT: ir.FloatType(), DOUBLE: ir.DoubleType()}
    integers = {WORD: ir.IntType(32), BYTE: ir.IntType(8), BIT: ir.IntType(1)}
    return ir.VectorType((floats | integers)[element], lanes)


def _place(context: Any, builder: Any, signature: Any, arguments: Any, element: str, lanes: int = LANES) -> Any:
    """Where some elements of an array begin."""
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    return builder.bitcast(builder.gep(array.data, [arguments[1]]), _vector_of(element, lanes).as_pointer())


def _load(element: str, align: int, lanes: int = LANES) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(_place(context, builder, signature, arguments, element, lanes), align=align)

    return generate


def _store(element: str, align: int, lanes: int = LANES) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store(arguments[2], _place(context, builder, signature, arguments, element, lanes), align=align)
        return context.get_dummy_value()

    return generate


def _load_wider(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    start = _place(context, builder, signature, arguments, FLOAT, HALF)
    return builder.fpext(builder.load(start, align=4), _vector_of(DOUBLE, HALF))


def _wider(half: int) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fpext(_halves(builder, arguments[0])[half], _vector_of(DOUBLE, HALF))

    return generate


def _store_codes(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    codes = builder.fptosi(arguments[2], _vector_of(BYTE))
    builder.store(codes, _place(context, builder, signature, arguments, BYTE), align=1)
    return context.get_dummy_value()


def _same(builder: Any, value: Any, lanes: int = LANES) -> Any:
    """A number in every lane."""
    from llvmlite import ir

    kind, places = ir.VectorType(value.type, lanes), _vector_of(WORD, lanes)
    nothing = ir.Constant(kind, ir.Undefined)
    one = builder.insert_element(nothing, value, ir.Constant(places.element, 0))
    return builder.shuffle_vector(one, nothing, ir.Constant(places, [0] * lanes))


def _call(builder: Any, name: str, *arguments: Any) -> Any:
    """What an intrinsic function of LLVM returns, whose arguments are all of one type."""
    from llvmlite import ir

    kind = ir.FunctionType(arguments[0].type, [arguments[0].type] * len(arguments))
    return builder.call(_declared(builder, name, kind), arguments)


def _zeros(element: str, lanes: int) -> Any:
    from llvmlite import ir

    return ir.Constant(_vector_of(element, lanes), None)


def _better(name: str) -> Any:
    """Of two numbers the one for which the comparison holds."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.select(builder.fcmp_ordered(name, *arguments), *arguments)

    return generate


def _best(name: str) -> Any:
    """The same of all lanes, by halves."""
    from llvmlite import ir

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        found = arguments[0]
        while found.type.count > 1:
            half = found.type.count // 2
            places = ir.VectorType(ir.IntType(32), half)
            orders = (ir.Constant(places, list(range(start, start + half))) for start in (0, half))
            one, other = (builder.shuffle_vector(found, found, order) for order in orders)
            found = builder.select(builder.fcmp_ordered(name, one, other), one, other)
        return builder.extract_element(found, ir.Constant(ir.IntType(32), 0))

    return generate


def _changed(name: str, element: str) -> Any:
    return lambda context, builder, signature, arguments: getattr(builder, name)(arguments[0], _vector_of(element))


def _move_down(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    from llvmlite import ir

    return builder.ashr(arguments[0], _same(builder, builder.trunc(arguments[1], ir.IntType(32))))


def _with_product(name: str) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes, one, other = arguments
        return _call(builder, f"llvm.fmuladd.{name}", one, other, lanes)

    return generate


def _leave_out(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    return builder.and_(arguments[0], builder.not_(arguments[1]))


def _look_up(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """One instruction where the processor has it, a few where it has one for half the lanes; else a choice a bit."""
    from llvmlite import ir

    table, places = arguments
    features = str(context.codegen().magic_tuple()[2]).split(",")
    if "+avx512f" in features:
        kind = ir.FunctionType(table.type, [table.type, places.type])
        return builder.call(_declared(builder, "llvm.x86.avx512.permvar.sf.512", kind), [table, places])
    if "+avx2" in features:
        tables, them = (_halves(builder, each) for each in (table, places))
        kind = ir.FunctionType(tables[0].type, [tables[0].type, them[0].type])
        permute = _declared(builder, "llvm.x86.avx2.permps", kind)
        low, high = ([builder.call(permute, [each, at]) for at in them] for each in tables)
        order = ir.Constant(_vector_of(WORD), list(range(LANES)))
        low, high = (builder.shuffle_vector(*pair, order) for pair in (low, high))
        upper = builder.icmp_signed(">=", places, _same(builder, ir.Constant(places.type.element, HALF)))
        return builder.select(upper, high, low)
    found = [_same(builder, builder.extract_element(table, ir.Constant(ir.IntType(32), k))) for k in range(LANES)]
    bit = 1
    while len(found) > 1:
        asked = builder.and_(places, _same(builder, ir.Constant(places.type.element, bit)))
        is_set = builder.icmp_signed("!=", asked, ir.Constant(places.type, [0] * LANES))
        found = [builder.select(is_set, odd, even) for even, odd in zip(found[::2], found[1::2], strict=True)]
        bit *= 2
    return found[0]


def _look_up_near(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """The same among the first half of the lanes."""
    from llvmlite import ir

    table, places = arguments
    features = str(context.codegen().magic_tuple()[2]).split(",")
    if "+avx512f" in features or "+avx2" not in features:
        return _look_up(context, builder, signature, arguments)
    near, _ = _halves(builder, table)
    them = _halves(builder, places)
    permute = _declared(builder, "llvm.x86.avx2.permps", ir.FunctionType(near.type, [near.type, them[0].type]))
    order = ir.Constant(_vector_of(WORD), list(range(LANES)))
    return builder.shuffle_vector(*(builder.call(permute, [near, at]) for at in them), order)


def _halves(builder: Any, vector: Any) -> list[Any]:
    """The first and the last lanes of a vector."""
    from llvmlite import ir

    places = ir.VectorType(ir.IntType(32), HALF)
    orders = (ir.Constant(places, list(range(start, start + HALF))) for start in (0, HALF))
    return [builder.shuffle_vector(vector, vector, order) for order in orders]


def _declared(builder: Any, name: str, kind: Any) -> Any:
    """An intrinsic function of LLVM."""
    from llvmlite import ir

    return builder.module.globals.get(name) or ir.Function(builder.module, kind, name)


def _sum_of(builder: Any, one: Any, other: Any) -> Any:
    return builder.fadd(one, other)


def _larger_of(builder: Any, one: Any, other: Any) -> Any:
    return builder.select(builder.fcmp_ordered(">", one, other), one, other)


def _across(of_two: Any) -> Any:
    """Eight rows of eight become one of eight, by halves: three times, of two rows those of every other part."""
    from llvmlite import ir

    places = ir.VectorType(ir.IntType(32), HALF)

    def merged(builder: Any, one: Any, other: Any, part: int) -> Any:
        """Of each pair of parts of both rows what it comes to, those of the rows by turns."""
        runs = [list(range(start, start + part)) for start in range(0, HALF, 2 * part)]
        first = [at for run in runs for at in (*run, *(HALF + i for i in run))]
        second = [at + part for at in first]
        orders = (ir.Constant(places, order) for order in (first, second))
        return of_two(builder, *(builder.shuffle_vector(one, other, order) for order in orders))

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        start = _place(context, builder, signature, arguments, DOUBLE, HALF)
        rows = [builder.load(builder.gep(start, [ir.Constant(ir.IntType(32), k)]), align=8) for k in range(HALF)]
        for part in (1, 2, 4):
            rows = [merged(builder, *pair, part) for pair in zip(rows[::2], rows[1::2], strict=True)]
        return rows[0]

    return generate


def _sum(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    from llvmlite import ir

    number = ir.DoubleType()
    kind = ir.FunctionType(number, [number, arguments[0].type])
    function = _declared(builder, f"llvm.vector.reduce.fadd.v{HALF}f64", kind)
    return builder.call(function, [ir.Constant(number, -0.0), arguments[0]], fastmath=("reassoc", "nsz"))


def _called(name: str) -> Any:
    return lambda context, builder, signature, arguments: _call(builder, name, *arguments)


def _operation(name: str, *words: str) -> Any:
    return lambda context, builder, signature, arguments: getattr(builder, name)(*words, *arguments)


def _anywhere(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    from llvmlite import ir

    packed = ir.IntType(LANES)
    return builder.icmp_unsigned("!=", builder.bitcast(arguments[0], packed), ir.Constant(packed, 0))


def _anywhere_negative(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    from llvmlite import ir

    signs = _signs(builder, builder.or_(*_halves(builder, arguments[0])))
    return builder.icmp_unsigned("!=", signs, ir.Constant(signs.type, 0))


def _with_marks(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    return builder.or_(arguments[0], builder.or_(*_halves(builder, arguments[1])))


def _any_marks(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    from llvmlite import ir

    element = ir.IntType(32)
    kind = ir.FunctionType(element, [arguments[0].type])
    found = builder.call(_declared(builder, f"llvm.vector.reduce.or.v{HALF}i32", kind), [arguments[0]])
    return builder.icmp_unsigned("!=", found, element(0))


def _count(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    from llvmlite import ir

    low, high = (_signs(builder, each) for each in _halves(builder, arguments[0]))
    counts = [_call(builder, "llvm.ctpop.i8", each) for each in (low, high)]
    return builder.zext(builder.add(*counts), ir.IntType(64))


def _signs(builder: Any, half: Any) -> Any:
    """The signs of eight numbers as eight bits: one instruction of most processors."""
    from llvmlite import ir

    return builder.bitcast(builder.icmp_signed("<", half, _zeros(WORD, HALF)), ir.IntType(HALF))


def _with_squares_of_negative(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    from llvmlite import ir

    found, words, *numbers = arguments
    kind, sign = ir.VectorType(ir.IntType(64), HALF), ir.Constant(ir.IntType(32), 31)
    for marks, eight in zip(_halves(builder, words), numbers, strict=True):
        mask = builder.sext(builder.ashr(marks, _same(builder, sign, HALF)), kind)
        kept = builder.bitcast(builder.and_(mask, builder.bitcast(eight, kind)), eight.type)
        found = _call(builder, f"llvm.fmuladd.v{HALF}f64", kept, kept, found)
    return found


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
