"""Record small checkpoints as PyTorch itself writes them, and their values.

Run in an environment of its own: ``pip install torch==2.13.0 numpy``, then
``python tests/golden/record_checkpoints.py``. The files lie in ``tests/golden/checkpoints``; ``values.npz`` holds
each tensor as float32 (or in its own type where NumPy has it), by the name of its file.
"""

from __future__ import annotations

import collections
from pathlib import Path

import numpy as np
import torch

FOLDER = Path(__file__).parent / "checkpoints"


class Small(torch.nn.Module):
    """Two layers, one of them inside another module."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Linear(5, 3)
        self.rest = torch.nn.Sequential(torch.nn.Conv1d(3, 2, 3), torch.nn.BatchNorm1d(2))
        self.gain: list[int] = [1, 2, 3]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Something with a constant in it."""
        return self.rest(self.first(x) * torch.tensor([0.5, 1.5, 2.5]))


def state() -> dict[str, object]:
    """Tensors of every kind, tied and turned ones among them."""
    generator = torch.Generator().manual_seed(0)
    plain = torch.randn(4, 6, generator=generator)
    return {
        "state_dict": collections.OrderedDict(
            {
                "float32": plain,
                "float64": plain.double(),
                "float16": plain.half(),
                "bfloat16": plain.bfloat16(),
                "float8_e4m3fn": plain.to(torch.float8_e4m3fn),
                "float8_e5m2": plain.to(torch.float8_e5m2),
                "int8": (50 * plain).to(torch.int8),
                "int64": (50 * plain).long(),
                "bool": plain > 0,
                "turned": plain.t(),
                "turned_bfloat16": plain.bfloat16().t(),
                "part": plain[1:3, ::2],
                "tied": plain,
                "scalar": torch.tensor(3.5),
                "empty": torch.zeros(0, 4),
                "complex": torch.zeros(2, dtype=torch.complex64),
                "parameter": torch.nn.Parameter(plain[0].clone()),
            }
        ),
        "optimizer": {"state": {0: {"step": torch.tensor(7.0), "exp_avg": plain * 2}}, "param_groups": [{"lr": 0.1}]},
        "epoch": 3,
        "name": "small",
    }


def numbers(tensor: torch.Tensor) -> np.ndarray:
    """As NumPy has them."""
    is_small = tensor.dtype in (torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2)
    array = (tensor.float() if is_small else tensor).detach().numpy()
    return array.reshape(array.shape or (1,))


def main() -> None:
    """Write them all."""
    FOLDER.mkdir(exist_ok=True)
    torch.manual_seed(0)
    values = {}
    saved = state()
    flat = {f"state_dict.{name}": each for name, each in saved["state_dict"].items()}
    flat["optimizer.state.0.step"] = saved["optimizer"]["state"][0]["step"]
    flat["optimizer.state.0.exp_avg"] = saved["optimizer"]["state"][0]["exp_avg"]
    flat = {name: each for name, each in flat.items() if each.numel() and not each.is_complex()}
    torch.save(saved, FOLDER / "zip.pt")
    torch.save(saved, FOLDER / "stream.pth", _use_new_zipfile_serialization=False)
    for file in ("zip.pt", "stream.pth"):
        values |= {f"{file}/{name}": numbers(each) for name, each in flat.items()}
    module = Small().eval()
    torch.jit.script(module).save(FOLDER / "script.pt")
    torch.save(module.rest, FOLDER / "module.pt")
    values |= {f"script.pt/{name}": numbers(each) for name, each in module.state_dict().items()}
    values |= {f"module.pt/{name}": numbers(each) for name, each in module.rest.state_dict().items()}
    np.savez_compressed(FOLDER / "values.npz", **values)


if __name__ == "__main__":
    main()
