"""The Model page: which layer hurts a network's output, and what does quantizing it cost and gain here?"""
