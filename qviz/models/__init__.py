"""What does quantization do to whole networks?"""

import os

# ONNX Runtime 1.32 begins a log of how it is used as soon as it is imported, and has code to send it.
# Neither happens where this is set.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
