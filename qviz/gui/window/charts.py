"""Which charts are there in the whole window? Those of every page."""

from qviz.gui.charts.base import Chart
from qviz.gui.compare.charts import CHARTS as COMPARE
from qviz.gui.model.charts import CHARTS as MODEL
from qviz.gui.product.charts import CHARTS as PRODUCT
from qviz.gui.tensor.charts import CHARTS as TENSOR
from qviz.gui.training.charts import CHARTS as TRAINING

CHARTS: dict[str, tuple[type[Chart], ...]] = {
    "tensor": TENSOR,
    "compare": COMPARE,
    "product": PRODUCT,
    "model": MODEL,
    "training": TRAINING,
}
"""The charts by the key of their page; each page lists its own."""
