"""Which conventions can be tried with any granularity?"""

from qviz.core import CONVENTIONS

FREE_CONVENTIONS = tuple(name for name, convention in CONVENTIONS.items() if convention.block_size is None)
