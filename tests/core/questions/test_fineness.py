"""What is said of the search for a range: the least there is, or the best of how many?"""

from __future__ import annotations

import numpy as np

from qviz.core import MSE, Entropy, PaddleMSE, PerAxis, Scheme, Tensor
from qviz.core.questions.fineness import fineness
from qviz.core.ranges.rules import Percentile
from tests.every import every

SMALL = Tensor(np.random.default_rng(0).standard_normal((4, 100)).astype(np.float32))
LARGE = Tensor(np.random.default_rng(0).standard_normal((4, 5000)).astype(np.float32))


@every(
    ("tensor", "scheme", "said"),
    [
        (
            SMALL,
            Scheme("int4", range_rule=MSE()),
            "The least there is: looked for between all breakpoints",
        ),
        (SMALL, Scheme("int8", False, PerAxis(0), MSE()), "The best of"),
        (LARGE, Scheme("int8", range_rule=MSE()), "The best of 300 ranges, each measured on every element."),
        (LARGE, Scheme("int8", True, PerAxis(0), MSE()), "The best of 132 ranges for each group"),
        (LARGE, Scheme("int4", True, PerAxis(0), MSE()), "The least there is"),
        (LARGE, Scheme(range_rule=Entropy()), "The best of 961 thresholds, whole bins of 2,048."),
        (LARGE, Scheme(range_rule=Entropy(bins=128)), "The best of 1 thresholds, whole bins of 128."),
        (LARGE, Scheme(range_rule=PaddleMSE(), convention="paddle"), "The best of 35 thresholds."),
    ],
    ids=str,
)
def test_it_is_told(tensor: Tensor, scheme: Scheme, said: str) -> None:
    assert str(fineness(tensor, scheme)).startswith(said)


def test_nothing_is_told_of_what_is_not_searched_for() -> None:
    assert fineness(LARGE, Scheme()) is None
    assert fineness(LARGE, Scheme(range_rule=Percentile(99.0))) is None
