"""How is one question of the Tensor page answered? Exactly from what is known, or from a sample."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from qviz.core.questions.analysis import analyze, estimate
from qviz.core.questions.calibration import choose_qparams
from qviz.core.questions.effort import plan
from qviz.core.runtimes.table import CONVENTIONS
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.granularity import Granularity, PerBlock, PerTensor
from qviz.core.tensors.sorted_tensor import prepare_sample
from qviz.core.tensors.tensor import Tensor
from qviz.core.work import IsCancelled, Progress
from qviz.session.frame import Frame, Part, Question, foresee_groups, foresee_worst


def frame_of_unchanged(question: Question, last: Frame | None, progress: Progress, cancelled: IsCancelled) -> Frame:
    """An answer about a tensor whose file was the same all the while."""
    question.tensor.check_unchanged()
    frame = _frame(question, last, progress, cancelled)
    question.tensor.check_unchanged()
    return frame


def _frame(question: Question, last: Frame | None, progress: Progress, cancelled: IsCancelled) -> Frame:
    tensor, scheme, channel, limits = question.tensor, question.scheme, question.channel, question.limits
    how = plan(tensor, question.prepared, scheme, limits, exactly=question.exactly)
    judged = False
    few: dict[str, Any] = {}
    if question.passing:
        few = {"error_bins": question.bins, "envelope": Part.ENVELOPE in question.parts}
    if _answers(last, question):
        assert last is not None
        tensor, whole, judged = last.tensor, last.whole, last.range_judged
    elif question.judged:
        whole = estimate(tensor, scheme, limits=limits, cancelled=cancelled, **few)
    elif question.prepared is not None:
        whole = analyze(
            question.prepared,
            scheme,
            error_bins=question.bins,
            envelope=Part.ENVELOPE in question.parts,
            limits=limits,
            progress=progress,
            cancelled=cancelled,
        )
    elif how.exact:
        share, judged = 0.0 if tensor.counted else 0.4, how.range_judged
        tensor = tensor.count(progress=lambda f: progress(share * f), cancelled=cancelled)
        known = _judged_qparams(tensor, scheme, cancelled) if judged else {}
        whole = analyze(
            tensor,
            scheme,
            progress=lambda f: progress(share + (1 - share) * f),
            cancelled=cancelled,
            **known,
            **few,
        )
    else:
        whole = estimate(tensor, scheme, cancelled=cancelled)
    tensor.histogram(cancelled=cancelled, sampled=not whole.exact)  # counted here, so that drawing never has to
    tensor.first_number()
    if not question.passing:
        foresee_groups(whole)
        foresee_worst(whole)
    reduced = {name: reduce(whole) for name, reduce in question.reductions.items()}
    passing = question.passing or question.steered
    about: dict[str, Any] = {"parts": question.parts, "passing": passing, "reduced": reduced}
    about["judged"] = question.judged and not whole.exact
    if channel is None:
        return Frame(tensor, question.prepared, scheme, channel, whole, whole, judged, **about)
    alone = tensor.channel(scheme.granularity, channel)
    alone.histogram(cancelled=cancelled)
    # Chosen for the group alone they could be others: NVFP4's scales depend on the whole tensor.
    mine = whole.qparams.for_group(channel)
    if mine.convention.block_size is None:
        mine = replace(mine, scheme=replace(scheme, granularity=_alone(scheme)))
    one = PerTensor().layout(alone.shape)
    shown = analyze(alone, mine.scheme, cancelled=cancelled, qparams=mine, layout=one)
    return Frame(tensor, question.prepared, scheme, channel, whole, shown, **about)


def _alone(scheme: Scheme) -> Granularity:
    """How one group is quantized by itself: as a whole tensor, or as a block where a runtime has nothing else."""
    granularity = scheme.granularity
    if isinstance(granularity, PerBlock) and CONVENTIONS[scheme.convention].per_block:
        return PerBlock(-1, granularity.block_size)
    return PerTensor()


def _judged_qparams(tensor: Tensor, scheme: Scheme, cancelled: IsCancelled) -> dict[str, Any]:
    """Where searching would sort every element, a sample decides the range."""
    return {"qparams": choose_qparams(prepare_sample(tensor, cancelled=cancelled), scheme, cancelled=cancelled)}


def _answers(last: Frame | None, question: Question) -> bool:
    """Whether the newest answer holds what is asked for the whole tensor."""
    return (
        last is not None
        and last.scheme == question.scheme
        and last.tensor is question.tensor
        and last.prepared is question.prepared
        and last.channel != question.channel
        and (last.whole.exact or question.judged or not (question.exactly or last.judged))
        and question.parts <= last.parts
    )
