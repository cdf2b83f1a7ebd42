"""Which way is a figure better? In words and in arrows, here alone."""

from __future__ import annotations

from qviz.session.language import tr


def arrow(better: int) -> str:
    """↑ where more is better (1), ↓ where less is (-1), nothing where neither (0)."""
    return {1: "↑", -1: "↓"}.get(better, "")


def judgement(better: int) -> str:
    """The arrow in words."""
    return {1: tr("higher is better"), -1: tr("lower is better")}.get(better, "")


def judged(tip: str, better: int) -> str:
    """A sentence on a figure, and another one on which way it is better."""
    sentence = {1: tr("Higher is better."), -1: tr("Lower is better.")}.get(better, "")
    return f"{tip} {sentence}".strip()


def lossless(figure: str) -> str:
    """Where nothing is lost, which has no place along an axis; the figure is ∞ dB, or 0."""
    return tr("lossless: {figure}").format(figure=figure)


def sqnr_heading() -> str:
    """Beside an axis of SQNRs, which may be a short one."""
    return tr("SQNR (dB) {arrow}").format(arrow=arrow(1))
