"""How is the Model page made, and who opens, measures and deploys beside the window?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qviz.gui.charts.page import Job
from qviz.gui.model.page import ModelPage
from qviz.session.checkpoints import Checkpoints
from qviz.session.kept_networks import NetworkRunKeeper
from qviz.session.language import tr
from qviz.session.networks import Networks

if TYPE_CHECKING:
    from qviz.app.app import App


def make_model(app: App) -> ModelPage:
    """The page and its workers."""
    networks = Networks(app)
    checkpoints = Checkpoints(app)
    keeper = NetworkRunKeeper(app.settings.data_folder / "network-runs", app)
    page = ModelPage(networks, checkpoints, lambda: app.session.scheme)
    page.entry_requested.connect(app.open_entry)
    app.session.changed.connect(page.show_current)
    page.tensor_requested.connect(app.open_layer)
    networks.capturer.captured.connect(app.open_layer)
    networks.capturer.paired.connect(app.open_pair)
    page.opened.connect(app.settings.add_recent)
    networks.run_kept.connect(keeper.keep)
    networks.run_removed.connect(keeper.forget)
    keeper.found.connect(networks.take_back)
    keeper.problem.connect(page.problem)
    page.workers = (*networks.workers, *checkpoints.workers, keeper)
    page.jobs = (
        Job(networks.opener, tr("Preparing the network")),
        Job(networks.reader, tr("Looking at the data")),
        Job(networks.sweeper, tr("Asking which layer hurts")),
        Job(networks.frontier, tr("Finding where bits matter")),
        Job(networks.deployer, tr("Quantizing and measuring")),
        Job(networks.capturer, tr("Capturing activations")),
        Job(networks.choice_writer, tr("Writing the choices")),
        Job(networks.report_writer, tr("Writing the report")),
        Job(networks.tracer, tr("Tracing codes that are one off")),
        Job(networks.audit, tr("Looking at the weights")),
        Job(checkpoints.opener, tr("Listing tensors")),
        Job(checkpoints.auditor, tr("Measuring tensors")),
        Job(checkpoints.budgets, tr("Finding where bits matter")),
    )
    keeper.find()
    return page
