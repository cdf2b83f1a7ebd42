"""What does ``qviz diff`` do? It says what differs between two checkpoints, tensor by tensor."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path

import click

from qviz.cli.figures import text_of
from qviz.cli.networks import progress_bar
from qviz.cli.options import json_option
from qviz.core.printable import printable


@click.command("diff")
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@json_option
def diff_command(first: Path, second: Path, as_json: bool) -> None:
    """Compare the tensors of FIRST with those of SECOND, such as an original with what was made of it, worst first.

    They are matched by name, also between llama.cpp's names and Hugging Face's, and between fused matrices (q, k and v;
    gate and up) and their parts; quantized ones are decoded.
    """
    from qviz.models.checkpoint import open_checkpoint
    from qviz.models.differences import differences

    checkpoints = [open_checkpoint([path]) for path in (first, second)]
    if problem := next((problem for checkpoint in checkpoints for problem in checkpoint.problems), None):
        raise problem
    with progress_bar("comparing") as tell:
        found = list(differences(checkpoints[0].weights, checkpoints[1].weights, progress=tell))
    if as_json:
        click.echo(json.dumps({"tensors": [each.to_dict() for each in found]}))
        return
    compared = [each for each in found if each.problem is None]
    equal = [each for each in compared if each.equal == each.elements]
    changed = [each for each in compared if each.equal != each.elements]
    changed.sort(key=lambda each: math.inf if math.isnan(each.sqnr_db) else each.sqnr_db)
    width = max((min(56, len(printable(each.name))) for each in changed), default=6)
    if changed:
        click.echo(f"{'tensor':<{width}}  {'SQNR dB':>8}  {'max error':>10}  {'equal':>7}")
    for each in changed:
        name = printable(each.name)
        name = name if len(name) <= width else "…" + name[1 - width :]
        share = f"{100 * each.equal / each.elements:.1f} %"
        click.echo(
            f"{name:<{width}}  {text_of(each.sqnr_db, '.2f'):>8}  {text_of(each.max_abs_error, '.4g'):>10}  {share:>7}"
        )
    for each in found:
        if each.problem is not None:
            click.echo(printable(f"{each.name}: {each.problem}"))
    notes = Counter(str(each.note) for each in found if each.note is not None)
    for note, count in notes.most_common(10):
        click.echo(printable(f"compared with {note} ({count:,} tensor{'s' if count > 1 else ''})"))
    recipes = Counter(str(each.recipe.phrase) for each in found if each.recipe is not None)
    for phrase, count in recipes.most_common(10):
        click.echo(printable(f"made by ({count:,} tensor{'s' if count > 1 else ''}): {phrase}"))
    reasons = Counter(str(each.no_recipe) for each in found if each.no_recipe is not None)
    for reason, count in reasons.most_common(10):
        click.echo(printable(f"no recipe gives these codes ({count:,} tensor{'s' if count > 1 else ''}): {reason}"))
    click.echo(f"{len(changed):,} differ, {len(equal):,} are equal, {len(found) - len(compared):,} were not compared")
