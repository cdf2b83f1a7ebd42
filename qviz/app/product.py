"""How is the Product page made, and who multiplies while it is looked at?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qviz.gui.charts.page import Job
from qviz.gui.product.page import ProductPage
from qviz.session.language import tr
from qviz.session.multiplier import Multiplier

if TYPE_CHECKING:
    from qviz.app.app import App


def make_product(app: App) -> ProductPage:
    """The page and its multiplier."""
    multiplier = Multiplier(app.session, app.memory, app)
    page = ProductPage(app.session, multiplier)
    page.workers = (multiplier,)
    page.jobs = (Job(multiplier, tr("Multiplying")),)
    return page
