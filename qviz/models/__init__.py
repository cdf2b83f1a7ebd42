"""What does quantization do to whole networks?"""
