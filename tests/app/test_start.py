"""What the first picture does not need is not loaded before it, and no source is read by PySide6."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from qviz.core import Scheme

LATER = (
    "numba", "onnx", "gguf", "safetensors", "ml_dtypes", "msgspec", "psutil", "platformdirs", "rich", "hashlib",
    "qviz.core.questions.analysis", "qviz.core.questions.calibration", "qviz.core.questions.product",
    "qviz.core.questions.sweep", "qviz.core.passes.direct_pass", "xml.dom.minidom", "html.entities", "tomllib",
    "qviz.gui.tensor.late_parts", "qviz.gui.tensor.heat_map_chart", "qviz.gui.tensor.generator_panel",
    "qviz.training", "qviz.gui.compare.page", "qviz.gui.product.page", "qviz.gui.training.page",
)  # fmt: skip

START = f"""
import linecache, os, sys
from pathlib import Path
from qviz.app.app import App, Settings, make_application
application = make_application()
app = App(Settings(Path(sys.argv[1])))
app.window.show()
print([name for name in {LATER} if name in sys.modules], flush=True)
print([name for name in linecache.cache if "pyqtgraph" in name or os.path.join("qviz", "gui") in name], flush=True)
os._exit(0)
"""


def test_the_first_picture_waits_for_nothing_else(tmp_path: Path) -> None:
    settings = tmp_path / "qviz.ini"
    for remembered in ("", json.dumps(json.dumps(Scheme().to_dict()))):
        settings.write_text(f"[General]\nscheme={remembered}\n")
        environment = os.environ | {"QT_QPA_PLATFORM": "offscreen", "PYTHONPATH": str(Path(__file__).parents[2])}
        done = subprocess.run(
            [sys.executable, "-c", START, str(settings)], env=environment, capture_output=True, text=True, check=True
        )
        assert done.stdout.splitlines() == ["[]", "[]"]
