"""qviz shows, exactly and live, what quantization does to a tensor."""

__version__ = "0.1.0"
