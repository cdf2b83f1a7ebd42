"""The charts of the Tensor page, one a module; `CHARTS` lists them."""

from qviz.gui.tensor.channels_chart import ChannelsChart
from qviz.gui.tensor.distribution_chart import DistributionChart
from qviz.gui.tensor.error_chart import ErrorChart
from qviz.gui.tensor.heat_map_chart import HeatMapChart
from qviz.gui.tensor.loss_chart import LossChart
from qviz.gui.tensor.memory_speed_charts import MemoryChart, SpeedChart
from qviz.gui.tensor.transfer_chart import TransferChart
from qviz.gui.tensor.values_chart import ValuesChart

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
