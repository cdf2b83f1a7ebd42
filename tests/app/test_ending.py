"""How does the window end, when a terminal, the system or a fault ends it? Nothing that was kept is lost."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import psutil
import pytest

from qviz.core.schemes.scheme import Scheme
from qviz.files.atomic import atomic_write, clean_up, notes_folder
from qviz.session.settings import Settings
from tests.models.made import classifier

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has other signals")

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")

WINDOW = """
import signal, sys
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup, which the tests may run under, has it ignored
signal.signal(signal.SIGINT, signal.default_int_handler)  # and so has a shell's background
from pathlib import Path
from PySide6.QtCore import QTimer
from qviz.app import app

path = Path(sys.argv[1])
app.Settings = lambda: Settings(path)
from qviz.session.settings import Settings

class Started(app.App):
    def start(self, paths=()):
        super().start(paths)
        self.session.update(bits=int(sys.argv[2]))
        self.pin_present()
        QTimer.singleShot(0, lambda: print("ready", flush=True))

app.App = Started
app.WARM_UP_MILLISECONDS = 3_600_000  # no kernels for windows that are closed at once
sys.exit(app.run())
"""

AT_WORK = """
import signal, sys
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import Path
import psutil
from PySide6.QtCore import QTimer
from qviz.app import app
from qviz.session.settings import Settings

path, network = Path(sys.argv[1]), Path(sys.argv[2])
app.Settings = lambda: Settings(path)

class Working(app.App):
    def start(self, paths=()):
        super().start(paths)
        self.timer = QTimer(self)
        self.timer.timeout.connect(self.begin)
        self.timer.start(5)

    def begin(self):
        if self.page.frame is None:
            return
        self.timer.timeout.disconnect(self.begin)
        self.timer.timeout.connect(self.tell)
        pages = self.window.pages
        pages.show_page("model")
        self.networks = pages.current.networks
        pages.show_page("training")
        pages.current.trainer.start()
        pages.show_page("compare")
        self.session.update(bits=5)
        self.pin_present()
        pages.show_page("tensor")
        self.window.saving.export_all_to(path.parent / "charts")

    def tell(self):
        children = [child.pid for child in psutil.Process().children(recursive=True)]
        busy = [type(each).__name__ for each in self.workers if each.busy]
        if "NetworkOpener" not in busy:
            self.networks.open(network)  # once more, where it was there before anybody looked
        elif children:
            self.timer.stop()
            print(*busy, *children, flush=True)

app.App = Working
app.WARM_UP_MILLISECONDS = 3_600_000
sys.exit(app.run())
"""

SAVE = """
import sys
from pathlib import Path
from qviz.files.atomic import atomic_write
with atomic_write(Path(sys.argv[1])) as temporary:
    temporary.write_bytes(b"half")
    print(temporary, flush=True)
    sys.stdin.readline()
"""

INTERRUPTED = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored

class Hand:
    def find_spec(self, name, path, target=None):
        if name == awaited:
            print("pressed", flush=True)
            os.kill(os.getpid(), signal.SIGINT)

awaited = sys.argv.pop(1)
sys.meta_path.insert(0, Hand())
from qviz.__main__ import main
main()
"""

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts a script, and waits for its first line."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    begun: list[subprocess.Popen[str]] = []

    def begin(script: str, *arguments: object) -> subprocess.Popen[str]:
        environment = os.environ | {"QT_QPA_PLATFORM": "offscreen", "PYTHONPATH": str(Path(__file__).parents[2])}
        process = subprocess.Popen(
            [sys.executable, "-c", script, *map(str, arguments)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        begun.append(process)
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], 60)[0]
        process.first = process.stdout.readline().strip()  # type: ignore[attr-defined]
        return process

    yield begin
    for process in begun:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("name", SIGNALS)
def test_the_window_ends_as_if_it_were_closed(start: Start, tmp_path: Path, name: str) -> None:
    window = start(WINDOW, tmp_path / "s.ini", 5)
    assert window.first == "ready"  # type: ignore[attr-defined]
    window.send_signal(getattr(signal, name))
    _, said = window.communicate(timeout=60)
    assert (window.returncode, said) == (0, "")
    settings = Settings(tmp_path / "s.ini")
    assert Scheme.from_dict(settings.get("scheme")).number_format.bits == 5
    assert len(settings.get("pins")) == 1
    assert not settings.get("geometry").isEmpty()


def works(number: int) -> bool:
    """Whether a process is there, and more than an entry that nobody has asked for its end."""
    try:
        return psutil.Process(number).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_the_window_ends_in_the_middle_of_all_work(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It trains, draws charts into files and has a network open in another process; nothing of it is left."""
    onnx.save_model(classifier(), str(tmp_path / "net.onnx"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    folder = tmp_path / "window"
    (folder / "charts").mkdir(parents=True)
    window = start(AT_WORK, folder / "s.ini", tmp_path / "net.onnx")
    first = window.first.split()  # type: ignore[attr-defined]
    assert "NetworkOpener" in first
    window.send_signal(signal.SIGTERM)
    _, said = window.communicate(timeout=60)
    assert (window.returncode, said) == (0, "")
    others, patience = [int(word) for word in first if word.isdigit()], time.monotonic() + 60
    while any(map(works, others)) and time.monotonic() < patience:  # Python's own keeper sees that it is alone
        time.sleep(0.01)
    assert not [number for number in others if works(number)]
    settings = Settings(folder / "s.ini")
    assert Scheme.from_dict(settings.get("scheme")).number_format.bits == 5
    assert len(settings.get("pins")) == 1
    assert not [path.name for path in tmp_path.rglob("*") if path.name.startswith((".qviz-", "qviz-"))]
    assert list(notes_folder().iterdir()) == []


@pytest.mark.parametrize(
    "imported", ["numpy", "shiboken6", "PySide6.QtWidgets", "pyqtgraph", "qviz.gui.window.main_window"]
)
def test_ctrl_c_before_there_is_a_window_ends_at_once_without_a_word(
    start: Start, tmp_path: Path, imported: str
) -> None:
    process = start(INTERRUPTED, imported)
    assert process.communicate(timeout=60) == ("", "")
    assert (process.first, process.returncode) == ("pressed", -signal.SIGINT)  # type: ignore[attr-defined]


def test_ctrl_c_while_charts_are_drawn_ends_at_once_without_a_word(start: Start, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones(4, np.float32))
    process = start(INTERRUPTED, "qviz.gui.tensor.rendering", "render", tmp_path / "x.npy", "-o", tmp_path / "charts")
    assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == -signal.SIGINT


def test_ctrl_c_in_a_command_is_what_python_makes_of_it(start: Start, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones(4, np.float32))
    process = start(INTERRUPTED, "qviz.files.npy", "inspect", tmp_path / "x.npy")
    assert process.communicate(timeout=60)[1].strip() == ""
    assert process.returncode == 130


def test_two_windows_do_not_overwrite_each_others_pins(start: Start, tmp_path: Path) -> None:
    windows = [start(WINDOW, tmp_path / "s.ini", bits) for bits in (4, 5)]
    for window in windows:
        window.send_signal(signal.SIGTERM)
        assert window.communicate(timeout=60)[1] == ""
    kept = Settings(tmp_path / "s.ini").get("pins")
    assert {Scheme.from_dict(each["scheme"]).number_format.bits for each in kept} == {4, 5}


def test_what_a_killed_save_left_is_removed_at_the_next_start(start: Start, tmp_path: Path) -> None:
    target = tmp_path / "q.npz"
    target.write_bytes(b"the old one")
    saving = start(SAVE, target)
    left = Path(saving.first)  # type: ignore[attr-defined]
    clean_up()
    assert left.exists(), "it is still being written"
    saving.kill()
    saving.wait()
    assert left.exists()
    window = start(WINDOW, tmp_path / "s.ini", 5)
    while list(notes_folder().iterdir()) and window.poll() is None:  # it has time for that once it is painted
        time.sleep(0.01)
    window.send_signal(signal.SIGTERM)
    window.communicate(timeout=60)
    assert not left.exists()
    assert target.read_bytes() == b"the old one"
    assert list(notes_folder().iterdir()) == []


def test_a_note_removes_nothing_but_what_a_save_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    precious = tmp_path / "precious.npy"
    np.save(precious, np.ones(3))
    notes_folder().mkdir(parents=True)
    for place, text in enumerate((f"999999\n0.0\n{precious}", "x", "", "1\n2", f"999999\nnan\n{tmp_path}")):
        (notes_folder() / f"{place}.txt").write_text(text)
    clean_up()
    assert precious.exists()
    assert tmp_path.exists()


@pytest.mark.parametrize("fails", [False, True])
def test_a_save_leaves_no_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    try:
        with atomic_write(tmp_path / "x.bin") as temporary:
            assert len(list(notes_folder().iterdir())) == 1
            temporary.write_bytes(b"x")
            if fails:
                raise ZeroDivisionError
    except ZeroDivisionError:
        assert not (tmp_path / "x.bin").exists()
    assert list(notes_folder().iterdir()) == []


def test_a_home_that_cannot_be_written_is_no_reason_not_to_save(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "state").write_text("no folder")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with atomic_write(tmp_path / "x.bin") as temporary:
        temporary.write_bytes(b"x")
    assert (tmp_path / "x.bin").read_bytes() == b"x"
    clean_up()
