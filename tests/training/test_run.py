"""The same experiment gives the same result bit for bit, and a training that diverges says so."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from qviz.core import Problem
from qviz.core.work import Cancelled
from qviz.training import Checkpoint, Data, Experiment, Quantization, Run, Spread, Training, run_seeds, sweep
from qviz.training.experiment import Experiment as Value
from tests.every import every

SHORT = Experiment(Data("moons", 400), (12, 12), training=Training(steps=120, fine_tuning_steps=90, batch=32))


def test_the_same_seed_gives_the_same_result_bit_for_bit():
    whole, pieces, other = Run(SHORT), Run(SHORT), Run(SHORT.with_seed(1))
    whole.complete()
    for steps in (1, 7, 120, 13, 1000):
        pieces.advance(steps)
    other.complete()
    assert whole.phase == pieces.phase == "done"
    assert whole.step == whole.steps == 210
    # NaN equals nothing, so the words are compared.
    assert repr(whole.checkpoints) == repr(pieces.checkpoints)
    for a, b in zip(whole.quantization_aware().weights, pieces.quantization_aware().weights, strict=True):
        np.testing.assert_array_equal(a, b, strict=True)
    assert repr(whole.checkpoints) != repr(other.checkpoints)


def test_the_phases_follow_each_other_and_the_float_network_rests_in_the_second():
    run = Run(SHORT)
    assert (run.phase, run.step, len(run.checkpoints)) == ("float", 0, 1)
    assert run.quantization_aware() is None
    run.advance(120)
    assert run.phase == "qat"
    weights, _ = run.float_weights()
    end = run.complete()
    np.testing.assert_array_equal(weights[0], run.float_weights()[0][0])
    assert [c.step for c in run.checkpoints] == [0, 25, 50, 75, 100, 120, 125, 150, 175, 200, 210]
    assert math.isnan(run.checkpoints[5].qat_accuracy)
    assert end.float_accuracy == run.checkpoints[5].float_accuracy
    assert end.qat_accuracy > 0.7
    run.advance(5)
    assert run.step == 210


def test_the_networks_are_there_to_be_asked():
    run = Run(SHORT)
    run.complete()
    x, y = run.dataset.x_test, run.dataset.y_test
    end = run.checkpoints[-1]
    for logits, accuracy in (
        (run.float_logits(x), end.float_accuracy),
        (run.post_training().logits(x), end.ptq_accuracy),
        (run.quantization_aware().logits(x), end.qat_accuracy),
    ):
        assert (logits.argmax(axis=1) == y).mean() == accuracy


def test_quantization_aware_training_wins_back_what_quantizing_loses():
    experiment = Experiment(training=Training(steps=600, fine_tuning_steps=400))
    end = Run(experiment).complete()
    assert end.float_accuracy > 0.98
    assert end.ptq_accuracy < 0.85
    assert end.qat_accuracy > 0.98


@every("optimizer", ["adam", "sgd"])
@every("rate", [100.0, 1e6])
@every("phase", ["float", "qat"])
def test_divergence_is_seen_without_a_warning(optimizer, rate, phase):
    name = "learning_rate" if phase == "float" else "fine_tuning_rate"
    training = replace(SHORT.training, optimizer=optimizer, **{name: rate})
    run = Run(replace(SHORT, training=training))
    end = run.complete()
    assert (run.phase, run.diverged_in) == ("diverged", phase)
    assert run.step < run.steps
    step = run.step
    run.advance(10)
    assert run.step == step
    assert (phase == "float") == math.isnan(end.qat_accuracy) or math.isfinite(end.float_accuracy)
    assert Run(SHORT).complete().float_accuracy > 0.7  # nothing of it is left


def test_a_run_can_be_cancelled_and_goes_on_after():
    run, undisturbed = Run(SHORT), Run(SHORT)
    asked = iter(range(100))
    with pytest.raises(Cancelled):
        run.advance(50, cancelled=lambda: next(asked) == 30)
    assert run.step == 30
    assert repr(run.complete()) == repr(undisturbed.complete())


def test_an_experiment_goes_through_json():
    for experiment in (
        Value(),
        SHORT,
        Value(Data("digits", noise=0.3), (5,), "tanh", Quantization(1, 8, False, True, True, False, "minmax", "mse")),
    ):
        assert Value.from_dict(json.loads(json.dumps(experiment.to_dict()))) == experiment
    assert Value.from_dict({}) == Value()
    assert Value.from_dict({"quantization": {"weight_bits": 3}}).quantization == Quantization(3)


@every(
    ("data", "said"),
    [
        (7, "This is no experiment: expected an object with data, hidden"),
        ({"epochs": 3}, "The experiment knows no “epochs”"),
        ({"hidden": "wide"}, "The experiment's hidden cannot be 'wide'"),
        ({"hidden": [True]}, "The experiment's hidden cannot be"),
        ({"hidden": []}, "cannot be built"),
        ({"hidden": [4, 0]}, "cannot be built"),
        ({"activation": "gelu"}, "no activation “gelu”"),
        ({"seed": -1}, "seed of -1"),
        ({"seed": True}, "cannot be True"),
        ({"training": {"learning_rate": None}}, "learning_rate cannot be None"),
        ({"training": {"learning_rate": 10**400}}, "learning_rate cannot be 1000"),
        ({"training": {"learning_rate": 0}}, "a rate of 0"),
        ({"training": {"learning_rate": math.nan}}, "a rate of nan"),
        ({"training": {"optimizer": "lion"}}, "no optimizer “lion”"),
        ({"training": {"momentum": 1.0}}, "momentum of 1"),
        ({"training": {"batch": 0}}, "batch of 0"),
        ({"training": {"steps": 0}}, "0 steps"),
        ({"quantization": []}, "This is no experiment's quantization"),
    ],
)
def test_what_is_no_experiment_is_one_sentence(data, said):
    with pytest.raises(Problem, match=said):
        Value.from_dict(data)


def test_seeds_are_summed_up():
    told: list[float] = []
    summary = run_seeds(SHORT, 3, progress=told.append)
    ends = [Run(SHORT.with_seed(i)).complete() for i in range(3)]
    values = tuple(end.qat_accuracy for end in ends)
    assert summary.qat_accuracy.values == values
    assert summary.qat_accuracy.mean == pytest.approx(np.mean(values))
    assert summary.qat_accuracy.std == pytest.approx(np.std(values, ddof=1))
    assert told[-1] == 1
    assert told == sorted(told)
    data = summary.to_dict()
    assert (data["seeds"], data["diverged"], data["data"]) == (3, 0, "moons")
    assert set(data["float_accuracy"]) == {"mean", "std", "values"}
    json.dumps(data, allow_nan=False)


def test_what_diverged_is_left_out_and_counted():
    assert Spread((0.5, math.nan, 0.7)).mean == pytest.approx(0.6)
    assert Spread((math.nan, 0.5)).std == 0
    assert math.isnan(Spread((math.nan,)).std)
    hopeless = replace(SHORT, training=replace(SHORT.training, learning_rate=1e6))
    summary = run_seeds(hopeless, 2)
    assert summary.diverged == 2
    data = summary.to_dict()
    assert data["qat_accuracy"] == {"mean": None, "std": None, "values": [None, None]}
    assert data["recovered"] is None
    json.dumps(data, allow_nan=False)


def test_a_sweep_trains_what_each_bit_width_alone_would_train():
    parts, known = zip(*sweep(SHORT, 2, (2, 8)), strict=True)
    assert parts == (0.25, 0.5, 0.75, 1.0)
    assert [s.experiment.quantization.weight_bits for s in known[0]] == [2]
    last = known[-1]
    assert [s.experiment.quantization.activation_bits for s in last] == [2, 8]
    for summary in last:
        assert summary == run_seeds(SHORT.at_bits(summary.experiment.quantization.weight_bits), 2)


def test_a_sweep_of_what_diverges_ends():
    hopeless = replace(SHORT, training=replace(SHORT.training, learning_rate=1e6))
    *_, (part, known) = sweep(hopeless, 1, (2, 3))
    assert part == 1
    assert [s.diverged for s in known] == [1, 1]


def test_where_ranges_are_searched_ptq_is_looked_at_rarely():
    quantization = Quantization(post_training_range="mse")
    run = Run(replace(SHORT, quantization=quantization))
    run.complete()
    known = [c.step for c in run.checkpoints[:6] if math.isfinite(c.ptq_accuracy)]
    assert known == [0, 120]
    assert run.checkpoints[-1].ptq_accuracy == run.checkpoints[5].ptq_accuracy


def test_a_checkpoint_knows_nothing_at_first():
    assert math.isnan(Checkpoint(0).ptq_loss)
