"""``qviz train`` runs the experiment of the page and tells of it; what it cannot do is one line."""

from __future__ import annotations

import json

import numpy as np
import pytest

from qviz.cli.main import main

QUICK = ["--steps", "40", "--fine-tuning-steps", "40", "--samples", "200", "--hidden", "8,8"]


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main(["train", *arguments])
    said = capsys.readouterr()
    return int(end.value.code or 0), said.out, said.err


def test_json_has_the_three_accuracies(capsys):
    arguments = ("--data", "spirals", "--weight-bits", "2", "--activation-bits", "4", "--seeds", "2", "--json")
    code, out, err = run(capsys, *arguments, *QUICK)
    assert (code, err) == (0, "")
    found = json.loads(out)
    for name in ("float_accuracy", "ptq_accuracy", "qat_accuracy"):
        values = found[name]["values"]
        assert len(values) == 2
        assert found[name]["mean"] == pytest.approx(np.mean(values))
        assert found[name]["std"] == pytest.approx(np.std(values, ddof=1))
    assert (found["weight_bits"], found["activation_bits"], found["seeds"]) == (2, 4, 2)
    assert run(capsys, *arguments, *QUICK)[1] == out


def test_text_has_a_line_each(capsys):
    code, out, _ = run(capsys, "--seeds", "1", *QUICK)
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()][:3] == ["float_accuracy", "ptq_accuracy", "qat_accuracy"]
    assert " ± " in out


def test_what_diverges_says_so(capsys):
    code, out, err = run(capsys, "--seeds", "1", "--learning-rate", "100", *QUICK)
    assert (code, err) == (0, "")
    assert "1 of 1 seeds: lower the learning rate" in out


def test_a_file_and_an_experiment_are_taken(capsys, tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "d.npz", x=rng.normal(size=(200, 3)), y=np.arange(200) % 2)
    code, out, _ = run(capsys, "--data", str(tmp_path / "d.npz"), "--seeds", "1", "--json", *QUICK)
    assert code == 0
    (tmp_path / "e.json").write_text(json.dumps(json.loads(out)["experiment"]))
    code, again, _ = run(capsys, "--experiment", str(tmp_path / "e.json"), "--seeds", "1", "--json")
    assert (code, again) == (0, out)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--data", "donuts"], "no data “donuts”"),
        (["--data", "donuts.csv"], "donuts.csv does not exist"),
        (["--weight-bits", "9"], "9 bits for weights"),
        (["--hidden", "8,x"], "are no widths"),
        (["--seeds", "0"], "--seeds"),
        (["--experiment", "nowhere.json"], "nowhere.json does not exist"),
    ],
)
def test_what_cannot_be_done_is_one_line(capsys, arguments, said):
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is not JSON"),
        ('{"epochs": 1}', "holds no experiment that can be used: The experiment knows no “epochs”"),
        (" " * (1 << 21), "is too large"),
    ],
)
def test_an_experiment_that_cannot_be_read_is_one_line(capsys, tmp_path, content, said):
    (tmp_path / "e.json").write_text(content)
    code, _, err = run(capsys, "--experiment", str(tmp_path / "e.json"))
    assert code == 2
    assert said in err
