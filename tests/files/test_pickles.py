"""A pickle is read as data: whatever disguise a call wears, nothing runs, and its name is told."""

from __future__ import annotations

import builtins
import copyreg
import os
import pickle
import struct
import subprocess
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest

from qviz.files import pickles
from qviz.files.pickled_tensors import is_known, tensors_of
from qviz.files.pickles import BadPickle, Call, Name, Pairs, Refused, Span, read_pickle
from qviz.files.problems import FileProblem
from qviz.files.readers import list_tensors
from tests.every import every


def read(content: bytes) -> Any:
    return read_pickle(content, 0, is_known).value


class Calls:
    """What pickles as a call of a function."""

    def __init__(self, *parts: Any) -> None:
        self.parts = parts

    def __reduce__(self) -> tuple[Any, ...]:
        return self.parts


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


COMMAND = text("touch RAN")
HOSTILE: dict[str, bytes] = {
    "REDUCE": b"cos\nsystem\n(S'touch RAN'\ntR.",
    "REDUCE posix": b"cposix\nsystem\n(S'touch RAN'\ntR.",
    "REDUCE nt": b"cnt\nsystem\n(S'touch RAN'\ntR.",
    "INST": b"(S'touch RAN'\nios\nsystem\n.",
    "OBJ": b"(cos\nsystem\nS'touch RAN'\no.",
    "NEWOBJ": b"\x80\x02csubprocess\nPopen\n" + COMMAND + b"\x85\x81.",
    "NEWOBJ_EX": b"\x80\x04csubprocess\nPopen\n" + COMMAND + b"\x85}\x92.",
    "STACK_GLOBAL": b"\x80\x04" + text("os") + text("system") + b"\x93" + COMMAND + b"\x85R.",
    "STACK_GLOBAL from memory": b"\x80\x04" + text("os") + b"\x94" + text("system") + b"\x940h\x00h\x01\x93.",
    "STACK_GLOBAL of no text": b"\x80\x04" + b"K\x01" + text("system") + b"\x93.",
    "a name with dots": b"\x80\x04" + text("torch") + text("os.system") + b"\x93" + COMMAND + b"\x85R.",
    "a name with dots in a module": b"\x80\x04" + text("torch.nn.modules.module") + text("torch.os.system") + b"\x93.",
    "a name with a blank": b"cos \nsystem\n(S'touch RAN'\ntR.",
    "eval": b"cbuiltins\neval\n(S'1'\ntR.",
    "exec under its old name": b"c__builtin__\nexec\n(S'1'\ntR.",
    "getattr": b"cbuiltins\ngetattr\n(cbuiltins\ndict\nS'get'\ntR.",
    "__import__": b"cbuiltins\n__import__\n(S'os'\ntR.",
    "BUILD": b"ccollections\nOrderedDict\n)R}S'__setstate__'\ncos\nsystem\nsbS'touch RAN'\nb.",
    "BUILD of a list": b"]}b.",
    "EXT1": b"\x82\x01.",
    "EXT2": b"\x83\x01\x00.",
    "EXT4": b"\x84\x01\x00\x00\x00.",
    "a call of a text": b"S'os.system'\n(S'touch RAN'\ntR.",
    "a call of a call": b"ccollections\nOrderedDict\n)R(S'touch RAN'\ntR.",
    "nested in a tensor": b"ctorch._utils\n_rebuild_tensor_v2\n(cos\nsystem\n(S'touch RAN'\ntRtR.",
    "in a persistent id": b"cos\nsystem\n(S'touch RAN'\ntRQ.",
    "never called": b"cos\nsystem\n.",
    "dropped": b"cos\nsystem\n(S'touch RAN'\ntR0N.",
    "after something harmless": pickle.dumps([1.0] * 1000)[:-1] + b"0cos\nsystem\n(S'touch RAN'\ntR.",
    "operator": b"coperator\nattrgetter\n(S'system'\ntR.",
    "functools": b"cfunctools\npartial\n(cos\nsystem\ntR.",
    "runpy": b"crunpy\n_run_code\n(S'1'\ntR.",
    "pydoc": b"cpydoc\nlocate\n(S'os.system'\ntR.",
    "numpy's runner": b"cnumpy.testing._private.utils\nrunstring\n(S'1'\n}tR.",
    "torch's loader": b"ctorch.storage\n_load_from_bytes\n(S'1'\ntR.",
    "torch.hub": b"ctorch.hub\nload\n(S'1'\ntR.",
    "codecs with something else": b"c_codecs\ndecode\n(S'1'\ntR.",
    "a buffer": b"\x80\x05\x97.",
}


@every("disguise", HOSTILE)
def test_nothing_runs_and_the_name_is_told(disguise: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for module, name in ((os, "system"), (subprocess, "Popen"), (builtins, "eval")):
        monkeypatch.setattr(module, name, lambda *_, **__: pytest.fail("it ran"))
    path = tmp_path / "model.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", HOSTILE[disguise])
    with pytest.raises(FileProblem, match="which no tensor needs; nothing of it was run"):
        list_tensors(path)
    assert list(tmp_path.iterdir()) == [path]


@every("protocol", range(6))
def test_a_call_of_the_system_is_refused_by_name_in_every_protocol(protocol: int) -> None:
    with pytest.raises(Refused, match=r"(posix|nt)\.system"):
        read(pickle.dumps({"w": Calls(os.system, ("true",))}, protocol))


def test_a_registered_extension_is_refused_too() -> None:
    copyreg.add_extension("os", "system", 77)
    try:
        with pytest.raises(Refused, match="copyreg"):
            read(b"\x82\x4d(S'true'\ntR.")
    finally:
        copyreg.remove_extension("os", "system", 77)


@every("protocol", range(6))
def test_plain_values_are_what_they_were(protocol: int) -> None:
    value = [None, True, False, 0, -1, 255, 65535, 1 << 40, -(1 << 70), 1.5, "é\n", b"ab\xff", (1, (2,), (3, 4), ())]
    found = read(pickle.dumps(value, protocol))
    if protocol < 3:  # bytes are a call there
        assert isinstance(found[11], Call)
        del found[11], value[11]
    assert found == value


@every("protocol", range(6))
def test_a_dictionary_is_pairs(protocol: int) -> None:
    found = read(pickle.dumps({"a": 1, 2: [3], "nested": OrderedDict(b=4)}, protocol))
    assert isinstance(found, Pairs)
    assert found.items[:2] == [("a", 1), (2, [3])]
    inner = found.get("nested")
    assert isinstance(inner, Call)
    assert inner.what == Name("collections", "OrderedDict")


def test_long_texts_and_bytes_stay_in_the_file() -> None:
    content = pickle.dumps([b"x" * 5000, "y" * 5000])
    data, words = read(content)
    assert isinstance(data, Span)
    assert content[data.start : data.end] == b"x" * 5000
    assert content[words.start : words.end] == b"y" * 5000
    assert (data.is_text, words.is_text) == (False, True)


DAMAGED: dict[str, bytes] = {
    "nothing": b"",
    "no end": b"]",
    "an unknown operation": b"\xff.",
    "bytes of 2^63": b"\x8e" + struct.pack("<Q", 1 << 63) + b".",
    "a text of 2^63": b"\x8d" + struct.pack("<Q", 1 << 63) + b".",
    "a text of 4 GiB": b"X\xff\xff\xff\xff.",
    "a negative length": b"T\xff\xff\xff\xff.",
    "a number of 2 GiB": b"\x8b\xff\xff\xff\x7f.",
    "a number of many digits": b"I" + b"9" * 4000 + b"\n.",
    "a mark for a value": b"(.",
    "no mark": b"t.",
    "half a pair": b"}(K\x01u.",
    "an empty memory": b"h\x07.",
    "an append to a number": b"K\x01K\x02a.",
    "a text that is none": b"X\x02\0\0\0\xff\xff.",
}


@every("kind", DAMAGED)
def test_damage_is_told(kind: str) -> None:
    with pytest.raises(BadPickle):
        read(DAMAGED[kind])


def test_memory_is_not_spent_on_a_large_index() -> None:
    assert read(b"Nr\xff\xff\xff\xff.") is None


def test_what_refers_to_itself_and_doubles_forever_ends() -> None:
    doubling = b"]" + b"".join(b"q%c](h%ch%ce" % (n, n, n) for n in range(60)) + b"."
    with pytest.raises(BadPickle, match="too many"):
        list(tensors_of(read(doubling)))
    assert list(tensors_of(read(b"]q\0h\0a."))) == []


def test_names_that_grow_with_every_way_to_them_end() -> None:
    key = b"X" + struct.pack("<I", 4000)
    nested = b"}q\0" + b"".join(
        b"}q%c(%sh%c%sh%cu" % (n + 1, key + b"a" * 4000, n, key + b"b" * 4000, n) for n in range(30)
    )
    with pytest.raises(BadPickle, match="names are too long"):
        list(tensors_of(read(nested + b".")))


def test_settings_that_thousands_of_modules_share_are_no_harm() -> None:
    shared = b"}q\0](" + b"h\0" * 5000 + b"e."
    assert list(tensors_of(read(shared))) == []


@pytest.mark.parametrize("program", [b"(" + b"}" * 101 + b"l.", b"N" + b"\x94" * 101 + b"."])
def test_a_byte_that_takes_a_hundred_is_not_taken_without_end(monkeypatch: pytest.MonkeyPatch, program: bytes) -> None:
    monkeypatch.setattr(pickles, "MOST_PARTS", 100)
    with pytest.raises(BadPickle, match="too many parts"):
        read(program)


def test_deep_nesting_is_not_followed_for_ever() -> None:
    assert list(tensors_of(read(b"N" + b"\x85" * 100_000 + b"."))) == []
