"""Through which values does PyTorch's fake_quantize pass a gradient, and what does it give to the scale?

``python -m tests.golden.record_straight_through`` asks torch, which must be installed, and writes
``straight_through.npz`` beside this file: for each case the values, the gradient that comes in, and what goes
out; and one step of a small network, all of whose weights and activations are quantized.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

FILE = Path(__file__).parent / "straight_through.npz"

CASES = {
    # name: bits, signed, per row, scale, zero point
    "int8": (8, True, False, 0.02, 0),
    "int4": (4, True, False, 0.25, 0),
    "int2": (2, True, False, 0.7, 0),
    "uint8": (8, False, False, 0.03, 131),
    "uint4": (4, False, False, 0.2, 3),
    "uint4 of ReLU": (4, False, False, 0.11, 0),
    "int4 rows": (4, True, True, (0.1, 0.25, 0.5), 0),
    "uint3 rows": (3, False, True, (0.3, 0.6, 0.9), (2, 3, 4)),
}

SIZES = (2, 6, 5, 3)
NETWORK = {
    # layer: scale of weights (int3), scale and zero point of what goes in (uint4)
    0: (0.35, 0.2, 7),
    1: (0.4, 0.15, 0),
    2: (0.3, 0.25, 0),
}


TIES = 8
"""Columns of values that lie on the edges of codes."""


def values(name: str) -> tuple[Array, Array]:
    """The values and the gradient that comes in, float32, shape (3, 40); with ties, ends and beyond."""
    bits, signed, _, scale, zero_point = CASES[name]
    rng = np.random.default_rng(7)
    steps = np.asarray(scale, np.float64).reshape(-1, 1)
    low = -(1 << bits - 1) if signed else 0
    codes = rng.uniform(low - 2, low + (1 << bits) + 1, (3, 40))
    high = low + (1 << bits) - 1
    codes[:, :TIES] = np.array([low, low - 0.5, low + 0.5, low - 0.49, high, high + 0.5, 0, 1])
    x = (codes - np.asarray(zero_point).reshape(-1, 1)) * steps
    return x.astype(np.float32), rng.standard_normal((3, 40)).astype(np.float32)


def batch() -> tuple[list[Array], list[Array], Array, Array]:
    """Weights, biases, rows and labels of the small network."""
    rng = np.random.default_rng(11)
    weights = [rng.standard_normal((m, n)).astype(np.float32) for n, m in pairwise(SIZES)]
    biases = [(0.1 * rng.standard_normal(m)).astype(np.float32) for m in SIZES[1:]]
    return weights, biases, rng.standard_normal((16, 2)).astype(np.float32), rng.integers(0, SIZES[-1], 16)


def record() -> dict[str, Array]:
    """Ask torch."""
    import torch

    answers: dict[str, Array] = {"torch": np.array(torch.__version__)}

    def fake(x: Any, scale: Any, zero_point: Any, low: int, high: int) -> Any:
        if scale.ndim == 0 or scale.numel() == 1:
            one = scale.reshape(1), zero_point.reshape(1)
            return torch._fake_quantize_learnable_per_tensor_affine(x, *one, low, high, 1.0)
        return torch._fake_quantize_learnable_per_channel_affine(x, scale, zero_point, 0, low, high, 1.0)

    for name, (bits, signed, per_row, scale, zero_point) in CASES.items():
        low = -(1 << bits - 1) if signed else 0
        high = low + (1 << bits) - 1
        array, gradient = values(name)
        x = torch.tensor(array, requires_grad=True)
        s = torch.tensor(np.asarray(scale, np.float32), requires_grad=True)
        z = np.broadcast_to(np.asarray(zero_point), s.shape).copy()
        if per_row:
            plain = torch.fake_quantize_per_channel_affine(
                x, s.detach(), torch.tensor(z, dtype=torch.int32), 0, low, high
            )
        else:
            plain = torch.fake_quantize_per_tensor_affine(x, float(s.detach()), int(z), low, high)
        plain.backward(torch.tensor(gradient))
        answers |= {
            f"{name}/x": array,
            f"{name}/gradient": gradient,
            f"{name}/x_hat": plain.detach().numpy(),
            f"{name}/x_gradient": x.grad.numpy().copy(),
        }
        # Its learnable kernel adds the zero point before it rounds, the other one after: ties are left out.
        learned = fake(x[:, TIES:], s, torch.tensor(z.astype(np.float32)), low, high)
        learned.backward(torch.tensor(gradient[:, TIES:]))
        answers[f"{name}/scale_gradient"] = s.grad.numpy().reshape(s.shape)

    weights, biases, rows, labels = batch()
    w = [torch.tensor(a, requires_grad=True) for a in weights]
    b = [torch.tensor(a, requires_grad=True) for a in biases]
    scales = [torch.tensor(NETWORK[i][:2], requires_grad=True) for i in NETWORK]
    out = torch.tensor(rows)
    for i, (_, _, zero_point) in NETWORK.items():
        out = fake(out, scales[i][1], torch.tensor(float(zero_point)), 0, 15)
        out = out @ fake(w[i], scales[i][0], torch.tensor(0.0), -4, 3).T + b[i]
        if i < len(NETWORK) - 1:
            out = torch.relu(out)
    loss = torch.nn.functional.cross_entropy(out, torch.tensor(labels))
    loss.backward()
    answers["network/loss"] = loss.detach().numpy()
    for i in NETWORK:
        answers[f"network/weight{i}"], answers[f"network/bias{i}"] = w[i].grad.numpy(), b[i].grad.numpy()
        answers[f"network/scales{i}"] = scales[i].grad.numpy()
    return answers


if __name__ == "__main__":
    np.savez_compressed(FILE, **record())
