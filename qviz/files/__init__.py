"""Tensors in, results out: one module a file format, one registry of them; no Qt."""
