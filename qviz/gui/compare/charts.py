"""The charts of the Compare page, one a module or two; `CHARTS` lists them."""

from qviz.gui.compare.overlay_chart import ErrorOverlay, RareErrors
from qviz.gui.compare.pareto_chart import ParetoChart

CHARTS = (ParetoChart, ErrorOverlay, RareErrors)
"""Every chart, in the order of the page; a new one is a class and a row."""
