"""How is the Tensor page joined to the session, and to those who answer for it?"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qviz.gui.window.toasts import Topic

if TYPE_CHECKING:
    from qviz.app.app import App


def wire_tensor(app: App) -> None:
    """Join the page, which is there from the beginning, to analyst, loss curves, meter and preparer."""
    window, page, library, status = app.window, app.page, app.library, app.window.status
    analyst, preparer, curves, meter = app.analyst, app.preparer, app.loss_curves, app.meter

    # intent → library
    page.tensors.item_chosen.connect(library.choose)
    page.tensors.item_closed.connect(library.close_item)
    page.spec_changed.connect(library.generate)
    library.refused.connect(page.tensors.refresh)
    page.pin_button.clicked.connect(app.pin_present)

    # answers → page
    analyst.began.connect(status.show_computing)
    analyst.answered.connect(window.present)
    analyst.answered.connect(app.forget_failure)
    analyst.problem.connect(partial(window.banner.error, topic=Topic.ANALYSIS))
    analyst.given_up.connect(status.stop_waiting)
    analyst.advanced.connect(status.analyzing.advance)
    page.looked_at.connect(analyst.look_at)
    page.reduced_by.connect(analyst.reduce_by)
    status.analyzing.cancel_requested.connect(analyst.cancel)
    window.exact_requested.connect(app.answer_exactly)

    # in order
    preparer.began.connect(status.show_sorting)
    preparer.advanced.connect(status.sorting.advance)
    preparer.ended.connect(status.show_sorted)
    status.sorting.cancel_requested.connect(preparer.cancel)

    # loss curves
    analyst.answered.connect(curves.follow)
    page.loss_wanted.connect(curves.want)
    page.loss_chosen.connect(curves.choose)
    curves.traced.connect(page.show_losses)
    curves.forgotten.connect(page.forget_losses)

    # speed
    meter.forgotten.connect(page.speed.forget)
    meter.cancelled.connect(page.speed.forget)
    meter.advanced.connect(page.speed.show_progress)
    meter.measured.connect(page.show_speed)
    meter.began.connect(page.show_measuring)
    meter.ended.connect(page.show_measured)
    window.measure_requested.connect(meter.measure_again)
    products = app.product_meter
    products.forgotten.connect(page.speed.forget_products)
    products.measured.connect(page.speed.show_products)
    products.advanced.connect(page.speed.show_product_progress)
    products.began.connect(page.show_measuring)
    products.ended.connect(page.show_measured)
    products.problem.connect(page.speed.forget_products)
    page.batch_chosen.connect(products.look_at)
    page.measure_button.clicked.connect(app.toggle_measuring)
