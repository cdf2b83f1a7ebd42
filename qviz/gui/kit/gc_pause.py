"""When must no garbage be collected? While widgets are being made."""

from __future__ import annotations

from qviz.files.memory import without_collections

building = without_collections
"""GC off: collecting a QObject during connect() can deadlock."""
