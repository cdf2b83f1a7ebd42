"""The charts of the Training page; `CHARTS` lists them."""

from qviz.gui.training.curves_chart import AccuracyChart, LossCurvesChart, SweepChart
from qviz.gui.training.decision_map import BoundaryChart
from qviz.gui.training.weights_chart import WeightsChart

CHARTS = (BoundaryChart, AccuracyChart, LossCurvesChart, WeightsChart, SweepChart)
"""Every chart, in the order of the page; a new one is a class and a row. The first is there for each network."""
