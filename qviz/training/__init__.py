"""What does quantization-aware training win back? Small networks in NumPy, no Qt."""

from qviz.training.data import KINDS, Data, Dataset
from qviz.training.experiment import Experiment, Training
from qviz.training.quantized_network import QuantizedNetwork
from qviz.training.run import Checkpoint, Run
from qviz.training.seeds import Spread, Summary, run_seeds, sweep
from qviz.training.settings import Quantization

__all__ = [
    "KINDS",
    "Checkpoint",
    "Data",
    "Dataset",
    "Experiment",
    "Quantization",
    "QuantizedNetwork",
    "Run",
    "Spread",
    "Summary",
    "Training",
    "run_seeds",
    "sweep",
]
