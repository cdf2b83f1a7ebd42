"""The Product page: what does a layer's output lose?"""
