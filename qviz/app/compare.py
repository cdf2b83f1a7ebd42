"""How is the Compare page made, and who answers while it is looked at?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qviz.gui.charts.page import Job
from qviz.gui.compare.page import ComparePage
from qviz.session.language import tr
from qviz.session.pins import PinAnalyst
from qviz.session.runtime_comparison import RuntimeComparison
from qviz.session.sweeper import Sweeper

if TYPE_CHECKING:
    from qviz.app.app import App


def make_compare(app: App) -> ComparePage:
    """The page, and the three workers that answer its three parts."""
    page = ComparePage(app.session, app.pins)
    sweeper = Sweeper(app.session, app.is_sorting, app)
    pin_analyst = PinAnalyst(app.session, app.pins, app.is_sorting, app)
    comparison = RuntimeComparison(app.session, app.is_sorting, app)
    page.sweep_wanted.connect(sweeper.want)
    page.pins_wanted.connect(pin_analyst.want)
    page.conventions_wanted.connect(comparison.want)
    sweeper.choose(page.sweep.choice.choice())
    page.sweep.choice.chosen.connect(sweeper.choose)
    page.sweep.again.clicked.connect(sweeper.again)
    sweeper.planned.connect(page.sweep.plan)
    sweeper.found.connect(page.sweep.add_metrics)
    sweeper.forgotten.connect(page.sweep.forget)
    sweeper.stopped.connect(page.sweep.stop)
    pin_analyst.judged.connect(page.pins.judge)
    pin_analyst.forgotten.connect(page.pins.forget)
    comparison.compared.connect(page.runtimes.compare)
    comparison.forgotten.connect(page.runtimes.forget)
    page.scheme_requested.connect(app.show_scheme)
    page.element_requested.connect(app.show_element)
    page.pin_requested.connect(app.pin)
    for worker in (sweeper, pin_analyst, comparison):
        worker.waiting.connect(page.wait_for_order)
        worker.problem.connect(page.problem)
        app.preparer.ended.connect(worker.look)
    page.workers = (sweeper, pin_analyst, comparison)
    page.jobs = (
        Job(sweeper, tr("Sweeping")),
        Job(pin_analyst, tr("Comparing pins")),
        Job(comparison, tr("Comparing runtimes")),
    )
    return page
