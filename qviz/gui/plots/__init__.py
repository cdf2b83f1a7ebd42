"""The charts: one a module, on one small base; `CHARTS` lists them."""

from qviz.gui.plots.channels import ChannelsChart
from qviz.gui.plots.distribution import DistributionChart
from qviz.gui.plots.error import ErrorChart
from qviz.gui.plots.gains import MemoryChart, SpeedChart
from qviz.gui.plots.heat_map import HeatMapChart
from qviz.gui.plots.loss import LossChart
from qviz.gui.plots.transfer import TransferChart
from qviz.gui.plots.values import ValuesChart

CHARTS = (
    ValuesChart,
    DistributionChart,
    ErrorChart,
    TransferChart,
    LossChart,
    ChannelsChart,
    HeatMapChart,
    MemoryChart,
    SpeedChart,
)
"""Every chart, in the order of the page; a new one is a module and a row."""

__all__ = [
    "CHARTS",
    "ChannelsChart",
    "DistributionChart",
    "ErrorChart",
    "HeatMapChart",
    "LossChart",
    "MemoryChart",
    "SpeedChart",
    "TransferChart",
    "ValuesChart",
]
