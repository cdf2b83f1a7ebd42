"""Every disguise that scanners of pickles know by name is refused by that name, whatever spells it; nothing is run.

The names are those of the test set of picklescan 1.0.5, the modules those that fickling 0.1.12 takes for unsafe.
"""

from __future__ import annotations

import io
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from qviz.files.pickled_tensors import is_known
from qviz.files.pickles import Refused, read_pickle
from qviz.files.problems import FileProblem
from qviz.files.readers import list_tensors
from tests.every import every

NAMES = """
42 os
__builtin__ apply
__builtin__ compile
__builtin__ eval
__builtin__ exec
__builtin__ getattr
__builtin__ globals
_aix_support _read_cmd_output
_io FileIO
_operator attrgetter
_operator methodcaller
_osx_support _read_output
_pickle loads
_pyrepl.pager pipe_pager
aiohttp.client ClientSession
asyncio.unix_events _UnixSubprocessTransport._start
bdb Bdb
bdb Bdb.run
builtins __import__
builtins eval
builtins exec
cProfile run
cProfile runctx
cloudpickle.cloudpickle _builtin_type
cloudpickle.cloudpickle _function_setstate
cloudpickle.cloudpickle _make_cell
cloudpickle.cloudpickle _make_empty_cell
cloudpickle.cloudpickle _make_function
cloudpickle.cloudpickle subimport
code InteractiveInterpreter.runcode
ctypes CDLL
distutils.file_util write_file
doctest debug_script
ensurepip _run_pip
functools partial
httplib HTTPSConnection
idlelib.autocomplete AutoComplete.fetch_completions
idlelib.autocomplete AutoComplete.get_entity
idlelib.calltip Calltip.fetch_tip
idlelib.calltip get_entity
idlelib.debugobj ObjectTreeItem.SetText
idlelib.pyshell ModifiedInterpreter.runcode
idlelib.pyshell ModifiedInterpreter.runcommand
idlelib.run Executive.runcode
imaplib IMAP4_stream
lib2to3.pgen2.grammar Grammar.loads
lib2to3.pgen2.pgen ParserGenerator.make_label
logging FileHandler
numpy.f2py.crackfortran getlincoef
numpy.testing._private.utils runstring
operator attrgetter
operator methodcaller
os system
pickle loads
pip main
pkgutil resolve_name
posix system
profile Profile.run
profile Profile.runctx
profile run
pty spawn
pydoc locate
pydoc pipepager
requests.api get
runpy _run_code
socket create_connection
ssl get_server_certificate
subprocess run
sys exit
test.support.script_helper assert_python_ok
timeit timeit
torch _utils
torch._dynamo.guards GuardBuilder.get
torch._inductor.codecache compile_file
torch.fx.experimental.symbolic_shapes ShapeEnv.evaluate_guards_expression
torch.jit.unsupported_tensor_ops execWrapper
torch.serialization load
torch.utils._config_module ConfigModule.load_config
torch.utils.bottleneck.__main__ run_autograd_prof
torch.utils.bottleneck.__main__ run_cprofile
torch.utils.collect_env run
torch.utils.collect_env run_and_read_all
torch.utils.data.datapipes.utils.decoder basichandlers
trace Trace.run
trace Trace.runctx
types CodeType
urllib.request urlopen
uuid _get_command_stdout
venv create
"""

MODULES = """
__builtin__ __builtins__ builtins os posix nt subprocess sys pty commands multiprocessing _posixsubprocess code
codeop runpy marshal types compile exec eval doctest importlib _frozen_importlib _frozen_importlib_external _imp
pkgutil zipimport gc site unittest inspect test _operator operator functools cProfile profile pdb bdb timeit trace
socket ssl httplib http urllib urllib2 requests aiohttp asyncio webbrowser smtplib imaplib ftplib poplib telnetlib
nntplib ctypes _ctypes pickle _pickle dill cloudpickle joblib shutil tempfile filecmp distutils pydoc pexpect venv
ensurepip pip idlelib lib2to3 socketserver xmlrpc signal _signal threading _thread atexit sqlite3 _sqlite3 fileinput
glob platform linecache difflib compileall py_compile mmap select selectors logging syslog tarfile zipfile shelve
uuid _osx_support _aix_support
"""

SPELLINGS: dict[str, Callable[[str, str], bytes]] = {
    "GLOBAL": lambda module, name: f"c{module}\n{name}\n(S'touch RAN'\ntR.".encode(),
    "INST": lambda module, name: f"(S'touch RAN'\ni{module}\n{name}\n.".encode(),
    "STACK_GLOBAL": lambda module, name: (
        b"\x80\x04"
        + b"".join(b"\x8c" + struct.pack("B", len(part)) + part.encode() for part in (module, name))
        + b"\x93."
    ),
    "STACK_GLOBAL from memory": lambda module, name: (
        b"\x80\x04"
        + b"".join(b"\x8c" + struct.pack("B", len(part)) + part.encode() + b"\x940" for part in (module, name))
        + b"h\x00h\x01\x93."
    ),
    "GLOBAL that is dropped": lambda module, name: f"c{module}\n{name}\n0N.".encode(),
}


def asked() -> list[tuple[str, str]]:
    pairs = [tuple(line.split(" ")) for line in NAMES.strip().splitlines()]
    return [*pairs, *((module, "run") for module in MODULES.split())]  # type: ignore[list-item]


@every("spelling", SPELLINGS)
def test_every_known_name_is_refused(spelling: str) -> None:
    pairs = asked()
    assert len(pairs) > 150
    for module, name in pairs:
        with pytest.raises(Refused) as caught:
            read_pickle(SPELLINGS[spelling](module, name), 0, is_known)
        assert caught.value.name == f"{module}.{name}"


HARMLESS = pickle.dumps({"w": np.ones(3)}, 2)
EVIL = b"cos\nsystem\n(S'touch RAN'\ntR."


def zipped(*members: tuple[str, bytes], flags: int = 0, crc: bool = True) -> bytes:
    """An archive whose members may claim to be encrypted, or to have another checksum."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in members:
            archive.writestr(name, content)
    content = bytearray(target.getvalue())
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.find(mark)
        while at >= 0:
            content[at + place] |= flags
            if not crc:
                checksum = at + place + 8
                content[checksum : checksum + 4] = b"\x00\x01\x02\x03"
            at = content.find(mark, at + 4)
    return bytes(content)


FILES: dict[str, bytes] = {
    "model.pt, in a folder of its own": zipped(("deep/er/data.pkl", EVIL), ("deep/er/version", b"3")),
    "model.pt, encrypted as it claims": zipped(("a/data.pkl", EVIL), flags=1),
    "model.pt, of another checksum": zipped(("a/data.pkl", EVIL), crc=False),
    "model.pt, with two pickles of one name": zipped(("a/data.pkl", HARMLESS), ("b/data.pkl", EVIL)),
    "model.pth, a plain pickle": EVIL,
    "model.bin, a plain pickle of protocol 4": b"\x80\x04" + EVIL,
    "model.ckpt, called a zip": b"PK\x03\x04" + EVIL,
    "model.pkl": b"\x80\x02" + EVIL,
    "model.pdparams": b"\x80\x02" + EVIL,
    "model.npy, of objects": b"",
    "model.npz, of objects": b"",
    "model.pt, broken behind the call": b"\x80\x02" + EVIL[:-1] + b"\xff\xff",
    "model.pt, broken before its end": b"\x80\x02" + EVIL[:-1],
    "model.pt, the stream of old": b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
    + b"\x80\x02M\xe9\x03."
    + EVIL,
    "model.nemo": b"",
    "model.mar": zipped(("MAR-INF/MANIFEST.json", b"{}"), ("weights.pt", zipped(("a/data.pkl", EVIL)))),
    "model.keras, with a lambda": zipped(
        ("config.json", b'{"class_name": "Lambda", "config": {"function": "os.system"}}')
    ),
}


class Runs:
    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("touch RAN",)


def content_of(name: str) -> bytes:
    target = io.BytesIO()
    if "npy" in name:
        np.save(target, np.array([Runs()], object), allow_pickle=True)
    elif "npz" in name:
        np.savez(target, w=np.array([Runs()], object))
    elif "nemo" in name:
        import tarfile

        with tarfile.open(fileobj=target, mode="w") as archive:
            inner = zipped(("a/data.pkl", EVIL))
            about = tarfile.TarInfo("model_weights.ckpt")
            about.size = len(inner)
            archive.addfile(about, io.BytesIO(inner))
    else:
        return FILES[name]
    return target.getvalue()


@every("name", FILES)
def test_a_file_that_would_run_something_is_told_in_a_sentence(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = content_of(name)
    monkeypatch.chdir(tmp_path)
    path = tmp_path / name.split(",", maxsplit=1)[0]
    path.write_bytes(content)
    modules = set(sys.modules)
    for module, function in ((os, "system"), (subprocess, "Popen")):
        monkeypatch.setattr(module, function, lambda *_, **__: pytest.fail("it ran"))
    try:
        for entry in list_tensors(path):
            entry.load()
        assert "two pickles" in name  # the harmless one may be read
    except FileProblem as problem:
        assert str(problem).startswith(path.name)
        assert "\n" not in str(problem)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    assert not {
        each for each in set(sys.modules) - modules if each.split(".")[0] in ("pickle5", "dill", "joblib", "torch")
    }
