"""How is a tensor larger than memory read?"""

from __future__ import annotations

import mmap

import numpy as np
import pytest

from qviz.core import PerAxis, PerTensor, Scheme, Tensor, analyze, prepare
from qviz.core.tensors import counting as counting_module
from qviz.core.tensors import mapped_values as module
from qviz.core.tensors.mapped_values import FlatValues, Mapping
from tests.every import every

F = np.float32
LARGE = 300_000  # more than a sample, and than a block


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Every mapped file counts as large, and its pages are let go again and again."""
    monkeypatch.setattr(counting_module, "COPIED_BYTES", 1000)
    monkeypatch.setattr(module, "HELD_BYTES", 200_000)


def values_of(dtype, size=LARGE, seed=0):
    """Numbers of a type, not all of them finite in float32."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(size) * 100
    if np.dtype(dtype).kind != "f":
        return (np.abs(x) if np.dtype(dtype).kind == "u" else x).astype(dtype)
    x = x.astype(dtype)
    x[[5, 1000, size // 2]] = np.nan, np.inf, -np.inf
    if np.dtype(dtype).itemsize > 4:
        x[77] = 1e300
    return x


def mapped(folder, x, mode="r", order="C"):
    path = folder / "x.bin"
    path.write_bytes(x.tobytes(order))
    return np.memmap(path, x.dtype, mode, shape=x.shape, order=order)


def as_float32(x):
    """What a copy would hold."""
    with np.errstate(over="ignore"):
        narrow = x.astype(F)
    return np.where(np.isinf(narrow), F(np.nan), narrow)


def let_go(monkeypatch):
    """How often pages are given back."""
    times = []

    class Watched:
        def __init__(self, mapped_file):
            self.file = mapped_file

        def madvise(self, option):
            times.append(option)
            self.file.madvise(option)

    original = Mapping.__init__

    def watch(self, array):
        original(self, array)
        if self._map is not None:
            self._map = Watched(self._map)

    monkeypatch.setattr(Mapping, "__init__", watch)
    return times


# --- values converted whenever they are read -------------------------------------------------------

DTYPES = ["f2", "f4", "f8", ">f4", ">f8", "i1", "u1", "i4", ">i2", "u8"]


@every("dtype", DTYPES)
def test_a_slice_reads_as_float32_with_nan_for_what_is_not_finite(dtype):
    x = values_of(dtype, 5000)
    before = x.copy()
    flat = FlatValues(x)
    expected = as_float32(x)
    assert flat.size == len(flat) == 5000
    for where in (slice(None), slice(990, 1010), slice(0, 0), slice(4990, 9999), np.array([5, 77, 1000, 3])):
        piece = flat[where]
        np.testing.assert_array_equal(piece, expected[where], strict=True)
        assert not np.shares_memory(piece, x)
    np.testing.assert_array_equal(np.asarray(flat), expected, strict=True)
    np.testing.assert_array_equal(np.asarray(flat, np.float64), expected.astype(float), strict=True)
    np.testing.assert_array_equal(x, before)


def test_what_is_known_to_be_clean_is_not_copied():
    x = np.arange(10, dtype=F)
    assert np.shares_memory(FlatValues(x, clean=True)[2:5], x)


@every("counted", [True, False])
@every("dtype", DTYPES)
def test_a_mapped_tensor_equals_its_copy(tmp_path, dtype, counted):
    x = values_of(dtype).reshape(3, 100, 1000)
    source = mapped(tmp_path, x)
    t, copy = Tensor(source, counted=counted).count(), Tensor(x)
    assert isinstance(t.values, FlatValues)
    assert t.nbytes == t.envelope.nbytes  # the file takes no memory
    for fact in ("shape", "dtype", "elements", "finite", "nan", "inf", "overflowed", "minimum", "maximum"):
        assert getattr(t, fact) == getattr(copy, fact)
    np.testing.assert_array_equal(t.values[:], copy.values[:], strict=True)
    np.testing.assert_array_equal(np.concatenate(list(t.pieces(7777))), copy.values[:], strict=True)
    np.testing.assert_array_equal(t.histogram().counts, copy.histogram().counts)
    np.testing.assert_array_equal(source, x)


@every("dtype", ["f2", "f4", "f8", "i4"])
def test_blocks_channels_and_groups_of_a_mapped_tensor(tmp_path, dtype):
    x = values_of(dtype).reshape(3, 100, 1000)
    t, expected = Tensor(mapped(tmp_path, x)), as_float32(x)
    for granularity in (PerTensor(), PerAxis(0), PerAxis(1), PerAxis(2)):
        layout = granularity.layout(x.shape)
        grid = expected.reshape(layout.shape)
        for block in layout.blocks(10_000):
            np.testing.assert_array_equal(t.block(layout, block), grid[block], strict=True)
        low, high = t.extremes(layout)
        np.testing.assert_array_equal(low, np.nanmin(grid, (0, 2)))
        np.testing.assert_array_equal(high, np.nanmax(grid, (0, 2)))
        for group, values in t.finite_groups(layout):
            alone = grid[:, group].ravel()
            np.testing.assert_array_equal(values, alone[~np.isnan(alone)])
    for axis in range(3):
        np.testing.assert_array_equal(t.channel(PerAxis(axis), 2).values[:], expected.take(2, axis).ravel())


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i4"])
def test_answers_about_a_mapped_tensor(tmp_path, dtype):
    x = values_of(dtype).reshape(3, -1)
    source = mapped(tmp_path, x)
    for scheme in (Scheme(), Scheme(granularity=PerAxis(0))):
        assert analyze(source, scheme).to_dict() == analyze(x, scheme).to_dict()
        views = (analyze(each, scheme).views(0, LARGE, 50) for each in (source, x))
        for a, b in zip(*views, strict=True):
            np.testing.assert_array_equal(a.low, b.low)
            np.testing.assert_array_equal(a.high, b.high)
    np.testing.assert_array_equal(prepare(source).values, prepare(x).values)


def test_a_small_mapped_file_is_copied_to_be_converted(tmp_path, monkeypatch):
    monkeypatch.setattr(counting_module, "COPIED_BYTES", 1 << 26)
    for dtype in ("f8", "f4"):  # the one for its type, the other for its infinities
        x = values_of(dtype)
        t = Tensor(mapped(tmp_path, x))
        assert isinstance(t.values, np.ndarray)
        np.testing.assert_array_equal(t.values, as_float32(x), strict=True)
        assert t.nbytes > 4 * LARGE


# --- mapped pages ----------------------------------------------------------------------------------


def test_what_is_mapped_is_known_through_any_view(tmp_path):
    source = mapped(tmp_path, values_of("f4").reshape(3, -1))
    for view in (source, source[1:], np.asarray(source).reshape(-1), source.T, source.view("i4"), source[0, ::5]):
        assert Mapping(view).exists
    for array in (np.ones(5), np.ones((4, 5))[1:], np.array(source), np.array(1.0), np.frombuffer(b"abcd", "i1")):
        assert not Mapping(array).exists


def test_its_pages_are_let_go_after_so_much_was_read(tmp_path, monkeypatch):
    times = let_go(monkeypatch)
    x = values_of("f4")
    mapping = Mapping(mapped(tmp_path, x))
    mapping.read(199_999)
    assert not times
    mapping.read(1)
    mapping.read(199_999)
    assert times == [mmap.MADV_DONTNEED]
    mapping.read(10**9)
    assert len(times) == 2


@every("dtype", ["f4", "f8"])
@every("nan", [False, True])
def test_every_reader_lets_go_and_still_reads_the_same(tmp_path, monkeypatch, dtype, nan):
    times = let_go(monkeypatch)
    x = values_of(dtype).reshape(3, -1)
    if not nan:
        x = np.nan_to_num(x, posinf=1, neginf=-1)
    t, expected = Tensor(mapped(tmp_path, x)), as_float32(x)
    assert times
    readers = {
        "pieces": lambda: np.concatenate(list(t.pieces(10_000))),
        "blocks": lambda: np.concatenate(
            [t.block(layout, b).ravel() for layout in [PerAxis(0).layout(x.shape)] for b in layout.blocks(10_000)]
        ),
        "slices": lambda: np.concatenate([t.values[i : i + 1000] for i in range(0, LARGE, 1000)]),
        "count": lambda: t.count().values[:],
        "whole": lambda: t.values[:],
    }
    for name, read in readers.items():
        times.clear()
        np.testing.assert_array_equal(read(), expected.ravel(), err_msg=name)
        assert times or name == "count"
    times.clear()
    t.histogram()
    assert times


def test_changes_that_are_in_memory_alone_are_never_let_go(tmp_path, monkeypatch):
    times = let_go(monkeypatch)
    x = values_of("f4")
    source = mapped(tmp_path, x, "c")
    source[3] = 123
    t = Tensor(source)
    t.histogram()
    prepare(t)
    assert (source[3], t.values[3]) == (123, 123)
    assert not times


def test_nor_is_memory_that_is_no_file(monkeypatch):
    times = let_go(monkeypatch)
    with mmap.mmap(-1, 4 * LARGE) as memory:
        x = np.frombuffer(memory, F)
        t = Tensor(x)
        t.histogram()
        del x, t
    assert not times
