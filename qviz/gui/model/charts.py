"""The charts of the Model page, one a module; `CHARTS` lists them."""

from qviz.gui.model.budget_chart import BudgetChart
from qviz.gui.model.frontier_chart import FrontierChart
from qviz.gui.model.graph_chart import GraphChart
from qviz.gui.model.runs_chart import RunsChart
from qviz.gui.model.weight_map_chart import WeightMapChart

CHARTS = (GraphChart, FrontierChart, RunsChart, WeightMapChart, BudgetChart)
"""Every chart, in the order of the page; a new one is a class and a row."""
