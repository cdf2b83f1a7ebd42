"""The Training page: what does quantization-aware training win back?"""
