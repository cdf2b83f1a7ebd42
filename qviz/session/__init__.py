"""QtCore only: the one truth of the window, its worker and its settings."""

from qviz.session import features

features.read_no_sources()
