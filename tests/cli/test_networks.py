"""Networks from the command line: which layer hurts, what quantizing costs and gains, and a gate."""

from __future__ import annotations

import json
import re
import signal
import sys
import tempfile
import types
from importlib import import_module

import numpy as np
import onnx
import pytest

from qviz.cli.networks import IMPORTED
from qviz.cli.ptq import _told
from qviz.core import FloatFormat, IntFormat, PerAxis, PerBlock, Scheme
from qviz.models.network import open_network
from qviz.models.output_figures import Answers
from qviz.models.preparation import prepare_network
from qviz.models.ptq import quantize_network
from qviz.models.sensitivity import ALONE, RESTORED, Sensitivity
from tests.models.made import classifier, network, pictures, transformer, value
from tests.processes import working


@pytest.fixture
def model(tmp_path):
    onnx.save_model(classifier(), str(tmp_path / "net.onnx"))
    return tmp_path / "net.onnx"


@pytest.fixture
def data(tmp_path):
    np.save(tmp_path / "x.npy", np.concatenate([s["x"] for s in pictures(6)]))
    return tmp_path / "x.npy"


def test_sensitivity_prints_what_the_library_finds(run, model, data):
    said = run("sensitivity", model, "--data", data, "--bits", 4, "--per", "axis", "--json")
    assert (said.code, said.err) == (0, "")
    found = json.loads(said.out)
    assert set(found) == {"output", "units"}
    assert all(
        set(row) == {"name", "isolated_db", "accumulated_db", "alone_db", "restored_db", "bytes"}
        for row in found["units"]
    )
    net = prepare_network(network(classifier())).network
    from qviz.models.data import open_samples

    held_out = open_samples(net, [data]).split()[1]
    asked = Sensitivity(net, held_out, Scheme(IntFormat(4), granularity=PerAxis(0)))
    assert found["output"]["sqnr_db"] == pytest.approx(asked.everything().sqnr_db, abs=1e-3)
    assert found["output"]["samples"] == len(held_out) == 3
    for mode, key in ((ALONE, "alone_db"), (RESTORED, "restored_db")):
        for loss in asked.sweep(mode):
            row = next(row for row in found["units"] if row["name"] == loss.unit.name)
            assert row[key] == pytest.approx(loss.sqnr_db, abs=1e-3)
            assert row["bytes"] == loss.unit.bytes
    assert set(found["output"]["changed_answers"]) == {row["name"] for row in found["units"]}
    assert all(0 <= share <= 1 for share in found["output"]["changed_answers"].values())
    alone = [row["alone_db"] for row in found["units"]]
    assert alone == sorted(alone)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--number-format", "e2m1fn", "--runtime", "nvfp4"],
        ["--per", "block", "--block-size", "16", "--bits", "4"],
        ["--by", "group", "--activations"],
    ],
    ids=["nvfp4", "blocks", "groups"],
)
def test_sensitivity_takes_any_scheme(run, model, data, arguments):
    said = run("sensitivity", model, "--data", data, *arguments)
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines()[0].startswith("all quantized")
    assert len(said.out.splitlines()) == 5


def test_sensitivity_is_told_to_other_viewers(run, model, data, tmp_path):
    netron, explorer = tmp_path / "netron.json", tmp_path / "explorer.json"
    assert run("sensitivity", model, "--data", data, "--netron", netron, "--model-explorer", explorer).code == 0
    targets = {each["target"] for each in json.loads(netron.read_text())["metrics"]}
    assert "/block2/conv" in targets
    assert json.loads(explorer.read_text())["main"]["results"].keys() == targets


def test_figures_are_written_as_a_page(run, model, data, tmp_path):
    """What is printed, in one file that people can pass on; a name is no markup."""
    out, page = tmp_path / "<b>.onnx", tmp_path / "report.html"
    said = run(
        "ptq", model, "--method", "static", "-o", out, "--calibration", data, "--seconds", 0.01, "--report", page
    )
    assert (said.code, said.err) == (0, "")
    read = page.read_text(encoding="utf-8")
    assert said.out.splitlines()[0] in read
    assert "<h1>&lt;b&gt;.onnx beside net.onnx</h1>" in read
    assert f"{re.search(r'output +(.* dB)', said.out)[1]}</td>" in read
    assert "Time of a run" in read

    said = run("compare", model, out, "--data", data, "--seconds", 0, "--report", page)
    assert f"{re.search(r'output +(.* dB)', said.out)[1]}</td>" in page.read_text(encoding="utf-8")
    assert "Time of a run" not in page.read_text(encoding="utf-8")

    said = run("sensitivity", model, "--data", data, "--bits", 4, "--report", page, "--json")
    read = page.read_text(encoding="utf-8")
    assert "Layers of net.onnx" in read
    for row in json.loads(said.out)["units"]:
        assert f'<td class="left">{row["name"]}</td><td>{row["alone_db"]:.2f} dB</td>' in read


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals")
def test_a_command_that_is_ended_clears_up_after_itself(run, model, data, tmp_path, monkeypatch):
    """SIGTERM, as `timeout` and CI send it, while another process works."""
    seen = []

    def ended(*given, progress, **named):
        def tell(share):
            seen.append(share)
            signal.raise_signal(signal.SIGTERM)

        return quantize_network(*given, progress=tell, **named)

    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setattr("qviz.models.ptq.quantize_network", ended)
    before = set(tmp_path.iterdir())
    said = run("ptq", model, "--method", "static", "-o", tmp_path / "q.onnx", "--calibration", data)
    assert (said.code, said.out, len(seen)) == (143, "", 1)
    assert working() == []
    assert set(tmp_path.iterdir()) == before
    assert list((tmp_path / "tmp").glob("qviz-*")) == []
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_signals_end_the_import_of_the_runtime_at_once(run, model, data, monkeypatch):
    """In the middle of it, ONNX Runtime would report that something is wrong with itself."""
    found = []

    def watched(name):
        found.append((name, signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)))
        return import_module(name)

    monkeypatch.setattr("qviz.cli.networks.import_module", watched)
    assert run("compare", model, model, "--data", data, "--seconds", 0).code == 0
    assert found == [(name, signal.SIG_DFL, signal.SIG_DFL) for name in IMPORTED]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("place", ["net.onnx", "x.npy", "q.onnx"])
def test_a_report_takes_no_other_file_s_place(run, model, data, tmp_path, place):
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    told = ["-o", tmp_path / "q.onnx", "--calibration", data, "--seconds", 0, "--report", tmp_path / place]
    said = run("ptq", model, "--method", "dynamic", *told)
    assert said.code == 2
    assert place in said.problem
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("method", ["dynamic", "static", "float16"])
def test_ptq_counts_measures_and_writes(run, model, data, tmp_path, method):
    out = tmp_path / "q.onnx"
    arguments = ["ptq", model, "--method", method, "-o", out, "--calibration", data, "--seconds", 0.01, "--json"]
    said = run(*arguments)
    assert (said.code, said.err) == (0, "")
    found = json.loads(said.out)
    assert found["quantized"] == found["nodes"] == 3
    assert found["sqnr_db"] > 15
    assert found["samples"] == 3
    assert found["latency"]["ratio"] == pytest.approx(
        found["latency"]["quantized_seconds"] / found["latency"]["float_seconds"]
    )
    low, high = found["latency"]["ratio_range"]
    assert 0 < low <= high
    assert found["latency"]["threads"] == 1
    assert found["float_bytes"] == model.stat().st_size
    assert found["quantized_bytes"] == out.stat().st_size
    assert open_network(out).nodes > 0


# Not both at once: measuring every candidate of 65,536 levels takes long.
@pytest.mark.parametrize("told", [("--range", "mse"), ("--activation-type", "uint16")], ids=lambda told: told[1])
def test_ptq_does_what_it_is_told(run, model, data, tmp_path, told):
    node = "/block2/conv"
    said = run(
        *("ptq", model, "--method", "static", "-o", tmp_path / "q.onnx", "--calibration", data, "--seconds", 0),
        *("--exclude", node, *told, "--form", "qdq", "--per-tensor"),
    )
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines()[0] == "2 of 3 nodes with weights were quantized; 1 × Conv stayed in float."
    assert "latency" not in said.out


@pytest.mark.parametrize(("below", "code"), [(1, 0), (90, 1)])
def test_a_gate(run, model, data, tmp_path, below, code):
    out = tmp_path / "q.onnx"
    arguments = ["--seconds", 0, "--fail-below", below]
    assert run("ptq", model, "--method", "static", "-o", out, "--calibration", data, *arguments).code == code
    assert run("compare", model, out, "--data", data, *arguments).code == code


def test_compare_of_a_network_with_itself(run, model, data):
    said = run("compare", model, model, "--data", data, "--seconds", 0, "--fail-below", 100)
    assert said.code == 0
    assert "equal" in said.out
    assert "top1 100.00 %" in said.out


def test_compare_needs_the_same_outputs(run, model, data, tmp_path):
    onnx.save_model(transformer(), str(tmp_path / "other.onnx"))
    changed = classifier()
    changed.graph.node[-1].output[0] = "other"
    del changed.graph.output[:]
    changed.graph.output.append(value("other", 1, 10))
    onnx.save_model(changed, str(tmp_path / "changed.onnx"))
    said = run("compare", model, tmp_path / "changed.onnx", "--data", data)
    assert (said.code, said.out) == (2, "")
    assert said.err == "qviz: changed.onnx has no output called y: is it the same network?\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ptq", "{model}", "--method", "static", "-o", "{out}"], "needs data"),
        (["ptq", "{model}", "--method", "weights", "-o", "{out}", "--exclude", "nobody"], "has no node nobody"),
        (["ptq", "{data}", "--method", "dynamic", "-o", "{out}"], "is no ONNX model"),
        (["ptq", "{model}", "--method", "magic", "-o", "{out}"], "magic"),
        (["sensitivity", "{model}", "--data", "{model}"], "is no data for a network"),
        (["sensitivity", "{model}"], "--data"),
        (["sensitivity", "{model}", "--data", "{data}", "--dimension", "n=3"], "no open dimension"),
        (["sensitivity", "{model}", "--data", "{data}", "--dimension", "n"], "NAME=VALUE"),
        (["sensitivity", "{model}", "--data", "{data}", "--set-input", "x=a"], "cannot be a"),
        (["sensitivity", "{model}", "--data", "{data}", "--mean", "grey"], "grey is no number"),
        (["compare", "{model}", "{missing}", "--data", "{data}"], "does not exist"),
    ],
)
def test_bad_input_is_one_sentence(run, model, data, tmp_path, arguments, said):
    places = {"model": model, "data": data, "out": tmp_path / "q.onnx", "missing": tmp_path / "none.onnx"}
    told = run(*(argument.format(**places) for argument in arguments))
    assert (told.code, told.out) == (2, "")
    assert said in told.err
    assert told.err.count("\n") == 1
    assert not (tmp_path / "q.onnx").exists()


def test_an_open_dimension_is_asked_for(run, tmp_path, data):
    changed = classifier()
    del changed.graph.input[:]
    changed.graph.input.append(value("x", "batch", 3, "height", 12))
    onnx.save_model(changed, str(tmp_path / "open.onnx"))
    said = run("sensitivity", tmp_path / "open.onnx", "--data", data)
    assert said.code == 2
    assert "--dimension height=N" in said.err
    assert run("sensitivity", tmp_path / "open.onnx", "--data", data, "--dimension", "height=12").code == 0


def test_weights_may_have_any_format():
    from qviz.models.weights import quantized_weight, values_of, weights_of

    net = prepare_network(network(classifier())).network
    scheme = Scheme(FloatFormat("e2m1fn"), granularity=PerBlock(-1, 16), convention="nvfp4")
    for weight in weights_of(net):
        assert np.isfinite(quantized_weight(weight, values_of(net)[weight.name], scheme)).all()


def test_a_network_is_written_where_the_command_was_given(run, model, data, monkeypatch):
    monkeypatch.chdir(model.parent)
    said = run("ptq", "net.onnx", "--method", "static", "-o", "q.onnx", "--calibration", "x.npy", "--seconds", 0)
    assert (said.code, said.err) == (0, "")
    assert open_network(model.parent / "q.onnx").is_quantized


def test_data_that_are_nan_give_a_sentence_instead_of_figures(run, model, tmp_path):
    np.save(tmp_path / "nan.npy", np.full((4, 3, 12, 12), np.nan, np.float32))
    nan = ["--data", tmp_path / "nan.npy"]
    for arguments in (["sensitivity", model, *nan], ["compare", model, model, *nan, "--seconds", 0]):
        said = run(*arguments)
        assert (said.code, said.out) == (2, "")
        assert said.err.startswith("qviz: The output y is NaN or infinite everywhere")


@pytest.fixture
def flawed(tmp_path):
    """A network with two NaN in a weight: two of its ten answers are none."""
    broken = classifier()
    weight = next(each for each in broken.graph.initializer if each.name == "w3")
    values = onnx.numpy_helper.to_array(weight).copy()
    values[:2, 0] = np.nan
    weight.CopyFrom(onnx.numpy_helper.from_array(values, "w3"))
    onnx.save_model(broken, str(tmp_path / "flawed.onnx"))
    return tmp_path / "flawed.onnx"


def test_what_is_not_finite_in_float_is_said_by_every_command(run, flawed, data, tmp_path):
    held_out, everything = (
        f"qviz: flawed.onnx: The float network itself answers {count} NaN or infinities (y): what quantizing costs "
        "there cannot be told."
        for count in (6, 12)
    )
    weight = "qviz: flawed.onnx: The weight w3 holds 2 NaN or infinities."
    report = tmp_path / "r.html"
    for more in ([], ["--json"], ["--report", report]):
        said = run("sensitivity", flawed, "--data", data, *more)
        assert (said.code, said.err.splitlines()) == (0, [weight, held_out])
    assert "The float network itself answers 6 NaN or infinities (y)" in report.read_text()
    said = run("compare", flawed, flawed, "--data", data, "--seconds", 0, "--report", report)
    assert (said.code, said.err.splitlines()) == (0, [weight, everything])
    assert "The float network itself answers 12 NaN or infinities (y)" in report.read_text()
    said = run("ptq", flawed, "--method", "static", "--calibration", data, "-o", tmp_path / "q.onnx")
    assert said.code == 2
    assert said.err == (
        "qviz: ONNX Runtime's quantizer failed: scale issue. The weight w3 holds 2 NaN or infinities.\n"
    )


def test_data_that_are_nan_in_one_place_are_said(run, model, data, tmp_path):
    values = np.load(data)
    values[:, 0, 0, 0] = np.nan
    np.save(tmp_path / "nan.npy", values[:1])
    said = run("sensitivity", model, "--data", tmp_path / "nan.npy")
    assert (
        said.problem
        == "The output y is NaN or infinite everywhere on these samples, in float already: look at the data."
    )
    np.save(tmp_path / "nan.npy", np.concatenate([values[:1], np.load(data)[1:2]]))
    said = run("compare", model, model, "--data", tmp_path / "nan.npy", "--seconds", 0)
    assert said.err.splitlines()[0] == "qviz: net.onnx: The input x holds 1 NaN or infinity."


def test_a_network_that_answers_nan_passes_no_gate(run, model, data, tmp_path):
    broken = classifier()
    weight = next(each for each in broken.graph.initializer if each.name == "b3")
    weight.CopyFrom(onnx.numpy_helper.from_array(np.full(10, np.nan, np.float32), "b3"))
    onnx.save_model(broken, str(tmp_path / "broken.onnx"))
    said = run("compare", model, tmp_path / "broken.onnx", "--data", data, "--seconds", 0, "--fail-below", 1)
    assert said.code == 1
    assert "NaN" in said.out
    assert "equal" not in said.out


def test_compare_needs_the_same_inputs(run, model, data, tmp_path):
    onnx.save_model(transformer(), str(tmp_path / "other.onnx"))
    said = run("compare", model, tmp_path / "other.onnx", "--data", data)
    assert (
        said.err == "qviz: other.onnx asks for the input ids, which net.onnx does not have: is it the same network?\n"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--method", "dynamic", "--operators", "Bogus"], "knows no operator “Bogus”"),
        (["--method", "weights", "--block-size", 7], "no blocks of 7"),
        (["--method", "static", "--form", "operator", "--activation-type", "uint16"], "8 bits alone"),
        (["--method", "dynamic", "--fail-below", "nan"], "'nan' is not finite"),
        (["--method", "dynamic", "--seconds", -1], "not in the range"),
    ],
)
def test_what_the_tools_do_not_know_is_said_before_they_begin(run, model, data, tmp_path, arguments, said):
    found = run("ptq", model, "-o", tmp_path / "q.onnx", "--calibration", data, *arguments)
    assert found.code == 2
    assert said in found.err
    assert not (tmp_path / "q.onnx").exists()


def test_a_folder_is_no_file_to_write(run, model, tmp_path):
    found = run("ptq", model, "--method", "dynamic", "-o", tmp_path)
    assert found.code == 2
    assert "it is a folder" in found.err


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("net.pdmodel", "is a Paddle network, which needs the package paddle2onnx"),
        ("net.pdiparams", "is a Paddle network, which needs the package paddle2onnx"),
        ("net.tflite", "is a TFLite network, which ONNX Runtime cannot run"),
    ],
)
def test_networks_of_other_kinds_get_a_sentence(run, data, tmp_path, monkeypatch, name, said):
    monkeypatch.setattr("qviz.models.opening.in_worker", lambda work, *given, **_: work(tmp_path, None, *given))
    monkeypatch.setitem(sys.modules, "paddle2onnx", None)
    for ending in (".pdmodel", ".pdiparams", ".tflite"):
        (tmp_path / f"net{ending}").write_bytes(b"something")
    found = run("sensitivity", tmp_path / name, "--data", data)
    assert (found.code, found.out) == (2, "")
    assert f"{name} {said}" in found.err


def test_a_paddle_network_goes_through_its_converter(run, model, data, tmp_path, monkeypatch):
    given = []

    def export(program, values, made, **options):
        given.append((program, values))
        onnx.save_model(classifier(), made)

    monkeypatch.setattr("qviz.models.opening.in_worker", lambda work, *given, **_: work(tmp_path, None, *given))
    monkeypatch.setitem(sys.modules, "paddle2onnx", types.SimpleNamespace(export=export))
    for ending in (".pdmodel", ".pdiparams"):
        (tmp_path / f"paddle{ending}").write_bytes(b"something")
    found = run("sensitivity", tmp_path / "paddle.pdmodel", "--data", data, "--json")
    assert (found.code, found.err) == (0, "")
    assert given == [(str(tmp_path / "paddle.pdmodel"), str(tmp_path / "paddle.pdiparams"))]
    assert {row["name"] for row in json.loads(found.out)["units"]} == {"/block1/conv", "/block2/conv", "/head/gemm"}


def test_what_breaks_the_output_is_not_called_exact(run, data, tmp_path, monkeypatch):
    onnx.save_model(classifier(), str(tmp_path / "net.onnx"))
    right = Answers.add

    def broken(self, exact, given):
        right(self, exact, [np.full_like(each, np.nan) for each in given])

    monkeypatch.setattr(Answers, "add", broken)
    said = run("sensitivity", tmp_path / "net.onnx", "--data", data)
    assert said.code == 0
    assert "NaN" in said.out.splitlines()[0]
    assert "exact" not in said.out.splitlines()[0]


@pytest.mark.parametrize(("ratio", "said"), [(0.5, "2 × faster"), (1.0, "as fast"), (1.5, "1.5 × slower")])
def test_times_are_compared_in_the_words_of_the_window(
    ratio: float, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _told({"float_bytes": 4, "quantized_bytes": 1, "latency": {"ratio": ratio}}, "", None, False)
    assert capsys.readouterr().out.splitlines()[-1].split(maxsplit=1) == ["latency", said]
