"""Every tensor of a GGUF file is found, and decoded as the gguf package decodes it; no count is believed."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFEndian, GGUFWriter
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import dequantize, quantize

from qviz.core.work import Cancelled
from qviz.files import gguf, memory
from qviz.files.problems import FileProblem
from qviz.files.readers import list_tensors

Type = GGMLQuantizationType


def known(*names: str) -> tuple[str, ...]:
    """Those types that the installed package has heard of."""
    return tuple(name for name in names if name in Type.__members__)


CODECS = known("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "MXFP4", "BF16")
"""What the package can quantize."""

PLAIN = ("F32", "F16", "F64", "I8", "I16", "I32", "I64")
NOT_DECODED = known("Q8_1", "Q8_K", "Q1_0")
DECODED = tuple(kind.name for kind in Type if kind.name not in PLAIN + NOT_DECODED)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.gguf"


def write(path: Path, *tensors: tuple[str, np.ndarray[Any, Any], Type | None], **options: Any) -> None:
    writer = GGUFWriter(path, "llama", **options)
    writer.add_string("general.name", "a model")
    writer.add_array("tokenizer.ggml.tokens", ["<s>", "hello", "wörld"])
    writer.add_array("tokenizer.ggml.scores", [0.5, 1.5, 2.5])
    writer.add_bool("flag", True)
    writer.add_uint64("count", 7)
    for name, array, kind in tensors:
        writer.add_tensor(name, array, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def numbers(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def header(*, magic: bytes = b"GGUF", version: int = 3, tensors: int = 0, keys: int = 0, rest: bytes = b"") -> bytes:
    return magic + struct.pack("<IQQ", version, tensors, keys) + rest


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def info(name: bytes = b"w", shape: tuple[int, ...] = (32,), kind: int = 0, offset: int = 0) -> bytes:
    """What stands in the header about one tensor, axes as in the file."""
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


def problem_of(path: Path, content: bytes | None = None) -> str:
    """What listing or loading the first tensor raises, which must be quick and need no memory."""
    if content is not None:
        path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(FileProblem) as caught:
            list_tensors(path)[0].load()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 22
    message = str(caught.value)
    assert message.startswith(path.name)
    assert message.count("\n") == 0
    return message


def test_each_tensor_is_offered_by_its_name_with_its_shape_and_stored_type(path: Path) -> None:
    x = numbers(4, 64)
    write(
        path,
        ("plain", x, None),
        ("half", x.astype(np.float16), None),
        ("blk.0.attn_q.weight", quantize(x, Type.Q4_0), Type.Q4_0),
        ("bf", quantize(x, Type.BF16), Type.BF16),
        ("ids", np.arange(6, dtype=np.int32).reshape(1, 2, 3), None),
    )
    entries = list_tensors(path)
    assert [(e.name, e.path, e.key) for e in entries][2] == (
        "model/blk.0.attn_q.weight",
        path,
        "blk.0.attn_q.weight",
    )
    assert [(e.key, e.shape, e.dtype) for e in entries] == [
        ("plain", (4, 64), "float32"),
        ("half", (4, 64), "float16"),
        ("blk.0.attn_q.weight", (4, 64), "Q4_0"),
        ("bf", (4, 64), "bfloat16"),
        ("ids", (1, 2, 3), "int32"),
    ]


@pytest.mark.parametrize("dtype", ["f4", "f2", "f8", "i1", "i2", "i4", "i8"])
def test_plain_values_are_copied_as_they_lie(path: Path, dtype: str) -> None:
    original = (100 * numbers(3, 5)).astype(dtype)
    write(path, ("first", numbers(7), None), ("w", original, None))
    array = list_tensors(path)[1].load()
    assert type(array) is np.ndarray  # no map, which a truncated file would turn into a signal
    assert not array.flags.writeable
    assert array.dtype == original.dtype
    np.testing.assert_array_equal(array, original, strict=True)


@pytest.mark.parametrize("codec", CODECS)
def test_what_the_package_quantizes_comes_back_as_the_package_decodes_it(path: Path, codec: str) -> None:
    stored = quantize(numbers(2, 3, 96), Type[codec])
    write(path, ("first", numbers(7), None), ("w", stored, Type[codec]))
    entry = list_tensors(path)[1]
    array = entry.load()
    assert entry.shape == (2, 3, 96)
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, dequantize(stored, Type[codec]), strict=True)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # chance bytes decode to infinite scales
@pytest.mark.parametrize("codec", DECODED)
def test_every_type_that_the_package_decodes_is_read(path: Path, codec: str) -> None:
    block, block_bytes = GGML_QUANT_SIZES[Type[codec]]
    stored = np.random.default_rng(1).integers(0, 256, (3, 5 * block_bytes), np.uint8)
    write(path, ("w", stored, Type[codec]))
    (entry,) = list_tensors(path)
    assert entry.shape == (3, 5 * block)
    array = entry.load()
    np.testing.assert_array_equal(array, dequantize(stored, Type[codec]), strict=True)


@pytest.mark.parametrize("codec", NOT_DECODED)
def test_what_the_package_cannot_decode_is_offered_and_refused_when_it_is_opened(path: Path, codec: str) -> None:
    stored = np.zeros((2, GGML_QUANT_SIZES[Type[codec]][1]), np.uint8)
    write(path, ("w", stored, Type[codec]))
    assert list_tensors(path)[0].dtype == codec
    assert f"holds 'w', whose type {codec} cannot be decoded" in problem_of(path)


def test_decoding_goes_block_by_block(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf, "BLOCK", 100)
    stored = quantize(numbers(30, 32), Type.Q8_0)
    write(path, ("w", stored, Type.Q8_0))
    (entry,) = list_tensors(path)
    fractions: list[float] = []
    np.testing.assert_array_equal(entry.load(progress=fractions.append), dequantize(stored, Type.Q8_0))
    assert len(fractions) == 10
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0

    fractions.clear()
    with pytest.raises(Cancelled):
        entry.load(progress=fractions.append, cancelled=lambda: len(fractions) == 3)
    assert len(fractions) == 3


def test_the_alignment_is_that_of_the_file(path: Path) -> None:
    writer = GGUFWriter(path, "llama")
    writer.add_custom_alignment(256)
    for name in "ab":
        writer.add_tensor(name, numbers(5))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    for entry in list_tensors(path):
        np.testing.assert_array_equal(entry.load(), numbers(5))


def test_a_scalar_has_one_element_and_empty_tensors_are_left_out(path: Path) -> None:
    rest = info(b"none", (0, 32)) + info(b"one", ()) + bytes(64)
    path.write_bytes(header(tensors=2, rest=rest))
    assert [(entry.key, entry.shape) for entry in list_tensors(path)] == [("one", (1,))]


def test_empty_tensors_alone_are_refused(path: Path) -> None:
    assert "holds 'w', which has no elements" in problem_of(path, header(tensors=1, rest=info(shape=(0,))))


def test_a_vocabulary_alone_is_refused(path: Path) -> None:
    write(path)
    assert "has no tensors in it: it holds a vocabulary alone. Choose" in problem_of(path)


def test_a_foreign_name_is_no_obstacle(tmp_path: Path) -> None:
    write(tmp_path / "model.gguf", ("w", numbers(3), None))
    (tmp_path / "model.gguf").rename(tmp_path / "model")
    assert list_tensors(tmp_path / "model")[0].load().size == 3


def test_an_empty_file_is_refused(path: Path) -> None:
    assert problem_of(path, b"") == "model.gguf is empty. Copy or download it again."


def test_something_else_under_this_name_is_refused(path: Path) -> None:
    assert "is not a GGUF file: it does not begin like one" in problem_of(path, b"hello, hello")


@pytest.mark.parametrize("dtype", ["f4", "f2", "f8", "i1", "i2", "i4", "i8"])
def test_big_endian_files_are_read(path: Path, dtype: str) -> None:
    original = (100 * numbers(3, 5)).astype(dtype)
    write(path, ("w", original.copy(), None), endianess=GGUFEndian.BIG)
    (entry,) = list_tensors(path)
    assert entry.dtype == original.dtype.name
    np.testing.assert_array_equal(entry.load(), original)


BIG = ["BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # chance bytes decode to infinite scales
@pytest.mark.parametrize("codec", BIG)
def test_blocks_of_big_endian_files_are_decoded(path: Path, codec: str) -> None:
    _, block_bytes = GGML_QUANT_SIZES[Type[codec]]
    stored = np.random.default_rng(1).integers(0, 64, (3, 2 * block_bytes), np.uint8)
    swapped = stored.reshape(-1, block_bytes).copy()
    for place in gguf._HALVES[codec]:
        swapped[:, [place, place + 1]] = swapped[:, [place + 1, place]]
    rest = info(shape=(2 * GGML_QUANT_SIZES[Type[codec]][0], 3), kind=Type[codec])
    little = header(tensors=1, rest=rest)
    # The same header in the other order, number by number.
    big = b"GGUF" + struct.pack(">IQQ", 3, 1, 0) + struct.pack(">Q", 1) + b"w"
    big += struct.pack(">IQQIQ", 2, 2 * GGML_QUANT_SIZES[Type[codec]][0], 3, int(Type[codec]), 0)
    assert len(big) == len(little)
    path.write_bytes(big + bytes(-len(big) % 32) + swapped.tobytes())
    np.testing.assert_array_equal(list_tensors(path)[0].load(), dequantize(stored, Type[codec]))


def test_blocks_that_are_not_read_in_big_endian_order_are_named(path: Path) -> None:
    big = b"GGUF" + struct.pack(">IQQ", 3, 1, 0) + struct.pack(">Q", 1) + b"w"
    big += struct.pack(">IQIQ", 1, 256, int(Type.IQ2_XXS), 0)
    path.write_bytes(big + bytes(-len(big) % 32) + bytes(66))
    assert "holds 'w' in IQ2_XXS, which qviz does not read in big-endian order" in problem_of(path)


@pytest.mark.parametrize(("kind", "dtype", "what"), [(31, "Q4_0_4_4", "has no longer"), (137, "type 137", "not know")])
def test_a_type_that_is_not_known_does_not_refuse_the_others(path: Path, kind: int, dtype: str, what: str) -> None:
    rest = info(b"odd", (64,), kind, 0) + info(b"w", (32,), 0, 64)
    content = header(tensors=2, rest=rest)
    path.write_bytes(content + bytes(-len(content) % 32) + bytes(64) + np.ones(32, "<f4").tobytes())
    odd, good = list_tensors(path)
    assert (odd.key, odd.shape, odd.dtype) == ("odd", (64,), dtype)
    assert odd.refused is not None
    with pytest.raises(FileProblem, match=what):
        odd.load()
    assert good.load().tolist() == [1] * 32


def test_a_part_without_tensors_names_itself(path: Path) -> None:
    split = text(b"split.no") + struct.pack("<IH", 2, 0) + text(b"split.count") + struct.pack("<IH", 2, 2)
    assert "is part 1 of 2 and holds no tensors. Open the other parts, or their folder." in problem_of(
        path, header(keys=2, rest=split)
    )


def test_the_header_is_walked_once_a_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, ("a", numbers(3), None), ("b", numbers(4), None))
    entries = list_tensors(path)
    walks: list[Path] = []
    monkeypatch.setattr(gguf, "_infos", lambda path: walks.append(path) or {})
    assert [entry.load().size for entry in entries] == [3, 4]
    assert not walks
    path.write_bytes(path.read_bytes() + bytes(32))
    with pytest.raises(FileProblem, match="has no tensor 'a' any more"):
        entries[0].load()
    assert walks == [path]


@pytest.mark.parametrize("version", [0, 1, 4])
def test_other_versions_are_refused(path: Path, version: int) -> None:
    assert f"is of GGUF version {version}, where 2 and 3 are known" in problem_of(path, header(version=version))


HUGE = 2**64 - 1
HOSTILE = {
    "keys without end": (header(keys=HUGE), "cut off inside its header"),
    "tensors without end": (header(tensors=HUGE), "cut off inside its header"),
    "a name without end": (header(tensors=1, rest=struct.pack("<Q", HUGE)), "promises a name of"),
    "a key without end": (header(keys=1, rest=struct.pack("<Q", 70_000) + bytes(80_000)), "a name of 68.36 KiB"),
    "text without end": (header(keys=1, rest=text(b"k") + struct.pack("<IQ", 8, HUGE)), "cut off inside its header"),
    "numbers without end": (
        header(keys=1, rest=text(b"k") + struct.pack("<IIQ", 9, 6, HUGE) + bytes(64)),
        "cut off inside its header",
    ),
    "texts without end": (
        header(keys=1, rest=text(b"k") + struct.pack("<IIQ", 9, 8, HUGE) + bytes(64)),
        "cut off inside its header",
    ),
    "lists of lists": (
        header(keys=1, rest=text(b"k") + struct.pack("<IIQ", 9, 9, 1) * 1000),
        "metadata of an unknown type (9)",
    ),
    "an unknown kind of metadata": (header(keys=1, rest=text(b"k") + struct.pack("<I", 99)), "unknown type (99)"),
    "axes without end": (header(tensors=1, rest=text(b"w") + struct.pack("<I", 2**32 - 1)), "tensor of 4,294,967,295"),
    "more values than any disk": (header(tensors=1, rest=info(shape=(HUGE - 31,) * 4)), "more values than any disk"),
    "a row that is no whole block": (header(tensors=1, rest=info(shape=(33,), kind=2)), "rows of 33 do not fit"),
    "a type of tomorrow": (header(tensors=1, rest=info(kind=999)), "whose type 999 the gguf package does not know"),
    "a place beyond the end": (header(tensors=1, rest=info(offset=1 << 40) + bytes(200)), "is cut off: 'w' reaches"),
    "a place beyond any disk": (header(tensors=1, rest=info(offset=HUGE) + bytes(200)), "more values than any disk"),
    "a little too short": (header(tensors=1, rest=info() + bytes(128)), "is cut off: 'w' reaches to byte 192"),
    "a name that is no text": (header(tensors=1, rest=info(b"\xff\xfe")), "has a name that is no text"),
    "two of one name": (header(tensors=2, rest=2 * info() + bytes(300)), "names two of its tensors alike"),
    "an alignment of 0": (
        header(keys=1, rest=text(b"general.alignment") + struct.pack("<II", 4, 0)),
        "impossible alignment (0)",
    ),
    "an alignment of 48": (
        header(keys=1, rest=text(b"general.alignment") + struct.pack("<II", 4, 48)),
        "impossible alignment (48)",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_count_of_a_hostile_header_is_believed(path: Path, name: str) -> None:
    content, expected = HOSTILE[name]
    assert expected in problem_of(path, content)


def test_two_tensors_alike_are_told_before_the_rest_is_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf, "_MOST_ITEMS", 10)
    assert "names two of its tensors alike" in problem_of(path, header(tensors=1000, rest=bytes(100_000)))


def test_a_header_of_more_parts_than_any_model_has_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf, "_MOST_ITEMS", 1000)
    assert "more than 1,000 parts" in problem_of(path, header(keys=HUGE, rest=bytes(100_000)))
    texts = header(keys=1, rest=text(b"k") + struct.pack("<IIQ", 9, 8, HUGE) + bytes(100_000))
    assert "more than 1,000 parts" in problem_of(path, texts)


def model(path: Path) -> list[np.ndarray[Any, Any]]:
    x = numbers(6, 32)
    write(path, ("a", x, None), ("b", quantize(x, Type.Q4_0), Type.Q4_0), ("c", x.astype(np.float16), None))
    return [entry.load().copy() for entry in list_tensors(path)]


def test_cut_off_anywhere(path: Path) -> None:
    model(path)
    content = path.read_bytes()
    # What follows the last value is padding.
    for length in [*range(0, len(content) - 32, 97), *range(80)]:
        path.write_bytes(content[:length])
        with pytest.raises(FileProblem):
            list_tensors(path)


def test_any_damaged_byte_gives_tensors_or_a_problem_and_nothing_else(tmp_path: Path, path: Path) -> None:
    model(path)
    content = path.read_bytes()
    problems = 0
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(content)
    values = min(
        content.index(each) for each in (numbers(6, 32).tobytes(), quantize(numbers(6, 32), Type.Q4_0).tobytes())
    )
    with damaged.open("r+b", buffering=0) as file:
        # Every byte of the header; of the values, which are believed whatever they are, a few.
        for place in [*range(values), *range(values, len(content), 61)]:
            for mask in (0x01, 0x80, 0xFF):
                file.seek(place)
                file.write(bytes([content[place] ^ mask]))
                try:
                    for entry in list_tensors(damaged):
                        assert entry.load().shape == entry.shape
                except FileProblem:
                    problems += 1
            file.seek(place)
            file.write(content[place : place + 1])
    assert problems > 100


def test_a_tensor_that_left_after_it_was_listed_is_missed(path: Path) -> None:
    write(path, ("w", numbers(3), None))
    (entry,) = list_tensors(path)
    path.unlink()
    write(path, ("v", numbers(3), None))
    with pytest.raises(FileProblem, match="has no tensor 'w' any more"):
        entry.load()


def test_a_tensor_that_does_not_fit_in_memory_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, ("w", quantize(numbers(8, 32), Type.Q4_0), Type.Q4_0))
    monkeypatch.setattr(memory, "free_memory", lambda: 1023)
    assert "holds 'w', which takes 1 KiB unpacked while 1023 B are free" in problem_of(path)
