"""Calling a command, and the files that it is given."""

from __future__ import annotations

from pathlib import Path

import pytest

from qviz.cli import main as cli
from qviz.core.tensors.generators import ARTICLE_VALUES
from tests.cli.commands import Run, Said, X, saved


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Call a command in this process."""

    def call(*arguments: object) -> Said:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main([str(a) for a in arguments])
        captured = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Said(ended.value.code, captured.out, captured.err)

    return call


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return saved(tmp_path / "w.npy", X)


@pytest.fixture
def article(tmp_path: Path) -> Path:
    return saved(tmp_path / "ten.npy", ARTICLE_VALUES)
