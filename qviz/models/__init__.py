"""What does quantization do to whole networks?"""

import os

# ONNX Runtime 1.32 sends how it is used over the network as soon as it is imported, unless this says otherwise.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
