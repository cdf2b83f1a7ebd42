"""Which parts of the Tensor page does nobody see at the start? They are made after the first painting."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import QObject

from qviz.core.ranges.entropy import Entropy
from qviz.core.ranges.mse import MSE
from qviz.gui.charts.base import Chart, LinkedCursor
from qviz.gui.charts.cards import ChartMenus
from qviz.gui.kit.docks import Dock
from qviz.gui.kit.widgets import Segments
from qviz.gui.tensor.channels_chart import ChannelsChart
from qviz.gui.tensor.distribution_chart import DistributionChart
from qviz.gui.tensor.generator_panel import GeneratorPanel
from qviz.gui.tensor.heat_map_chart import HeatMapChart
from qviz.gui.tensor.loss_chart import LossChart
from qviz.gui.tensor.worst_groups_panel import WorstGroupsPanel


class LateParts(QObject):
    """The curve behind the transfer curve, what is said of groups, and the generator; in docks that wait for them.

    Parameters
    ----------
    docks : mapping of str to Dock
        Those of the page, by their names; the ones of these parts are empty.
    distribution : DistributionChart
        Leads the loss curve.
    """

    def __init__(
        self,
        docks: Mapping[str, Dock],
        link: LinkedCursor,
        menus: ChartMenus,
        distribution: DistributionChart,
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self.loss = LossChart(link)
        self.loss.lead_by(distribution)
        self.channels = ChannelsChart(link)
        self.heat_map = HeatMapChart(link)
        self.charts: tuple[Chart, ...] = (self.loss, self.channels, self.heat_map)
        for chart in self.charts:
            dock = docks[chart.name]
            dock.fill(chart)
            menus.dress(chart, dock.title)
            if not dock.windowTitle():
                dock.rename(chart.title())
        loss = docks[self.loss.name]
        loss.rename(self.loss.title(), tab=loss.windowTitle())  # beside its tab there is room for more
        self.generator = GeneratorPanel()
        docks["generator"].fill(self.generator, scrolls=True)
        self.worst = WorstGroupsPanel()
        docks["worst"].title.add_widget(self.worst.table.filter_box())
        docks["worst"].fill(self.worst)
        self.losses = self._losses()
        docks["loss"].title.add_widget(self.losses)
        self.quantities = self._quantities()
        docks["heat_map"].title.add_widget(self.quantities)
        self.quantities.chosen.connect(self.heat_map.choose_quantity)

    def _losses(self) -> Segments:
        losses = Segments(
            [
                (MSE.kind, self.tr("MSE"), self.tr("Mean squared error of each threshold, measured.")),
                (Entropy.kind, self.tr("KL"), self.tr("Kullback-Leibler divergence, as entropy calibration has it.")),
            ],
            self.tr("Loss"),
        )
        losses.choose(MSE.kind)
        losses.setFixedWidth(92)
        return losses

    def _quantities(self) -> Segments:
        quantities = Segments(
            [
                ("scale", self.tr("Scale"), self.tr("The width of one step, without its sign.")),
                ("mse", self.tr("MSE"), self.tr("Mean squared error.")),
                ("sqnr", self.tr("SQNR"), self.tr("Signal to quantization noise: lower is worse.")),
                ("max", self.tr("Max"), self.tr("The largest error.")),
            ],
            self.tr("Colours"),
        )
        quantities.choose(self.heat_map.quantity)
        quantities.setFixedWidth(quantities.sizeHint().width() + 16)
        return quantities
