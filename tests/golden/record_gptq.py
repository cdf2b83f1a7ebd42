"""Record small checkpoints of GPTQ and AWQ as AutoGPTQ's and AutoAWQ's own code quantizes and packs them.

Run in an environment of its own: ``pip install torch==2.13.0 safetensors numpy``, beside clones of
https://github.com/AutoGPTQ/AutoGPTQ (9f7d370) and https://github.com/casper-hansen/AutoAWQ (88e4c76):
``python tests/golden/record_gptq.py AutoGPTQ AutoAWQ``. Their modules are run from the clones; what they import and do
not use here (transformers, CUDA) is put in their place. The files lie in ``tests/golden/checkpoints/gptq``;
``values.npz`` holds of each what its library decodes (in half precision) and, under ``…/original``, what was quantized.
"""

from __future__ import annotations

import ast
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

FOLDER = Path(__file__).parent / "checkpoints" / "gptq"
GENERATOR = torch.Generator().manual_seed(3)
ROWS, COLUMNS = 32, 128
VALUES: dict[str, np.ndarray] = {}


def module(name: str, path: Path, package: str = "") -> Any:
    """One file of a clone, run as it is."""
    made = types.ModuleType(name)
    made.__package__ = package
    sys.modules[name] = made
    exec(compile(path.read_text(), str(path), "exec"), made.__dict__)
    return made


def stand_ins() -> None:
    """What is imported and not used."""
    transformers = types.ModuleType("transformers")
    transformers.pytorch_utils = types.SimpleNamespace(Conv1D=type("Conv1D", (), {}))  # type: ignore[attr-defined]
    transformers.Conv1D = transformers.pytorch_utils.Conv1D  # type: ignore[attr-defined]
    sys.modules["transformers"] = transformers
    for name in (
        "awq",
        "awq.utils",
        "awq.utils.packing_utils",
        "awq.utils.module",
        "awq.utils.utils",
        "auto",
        "auto.quantization",
    ):
        sys.modules[name] = types.ModuleType(name)
    sys.modules["awq.utils.packing_utils"].dequantize_gemm = None  # type: ignore[attr-defined]
    sys.modules["awq.utils.module"].try_import = lambda *_: (None, "")  # type: ignore[attr-defined]
    sys.modules["awq.utils.utils"].get_best_device = lambda: "cpu"  # type: ignore[attr-defined]
    torch.cuda.synchronize = lambda *_: None  # type: ignore[assignment]


def layer(values: torch.Tensor) -> torch.nn.Linear:
    made = torch.nn.Linear(values.shape[1], values.shape[0], bias=False)
    made.weight.data = values.clone()
    return made


def original(columns: int = COLUMNS) -> torch.Tensor:
    """Normal values with an outlier, as half precision holds them."""
    values = torch.randn(ROWS, columns, generator=GENERATOR) * 0.05
    values[1, 3] = 0.6
    return values.half().float()


def keep(name: str, parts: Any, decoded: torch.Tensor, values: torch.Tensor) -> None:
    names = ("qweight", "qzeros", "scales", "g_idx")
    tensors = {f"layer.{each}": getattr(parts, each).contiguous() for each in names if hasattr(parts, each)}
    save_file(tensors, FOLDER / f"{name}.safetensors")
    VALUES[name] = decoded.half().numpy()
    VALUES[f"{name}/original"] = values.numpy()


def gptq(clone: Path) -> None:
    """With groups found on the way, found before, whole rows, and columns in the order of their importance."""
    quantizer = module("auto.quantization.quantizer", clone / "auto_gptq" / "quantization" / "quantizer.py")
    method = module("auto.quantization.gptq", clone / "auto_gptq" / "quantization" / "gptq.py", "auto.quantization")
    packing = module("packing", clone / "auto_gptq" / "nn_modules" / "qlinear" / "qlinear_cuda.py")
    cases: dict[str, dict[str, Any]] = {
        "gptq_int4_32": {"group_size": 32},
        "gptq_int4_32_asymmetric": {"group_size": 32, "sym": False},
        "gptq_int4_row": {},
        "gptq_int8_64": {"group_size": 64, "bits": 8},
        "gptq_int4_32_static": {"group_size": 32, "static_groups": True},
        "gptq_int4_32_static_order": {"group_size": 32, "static_groups": True, "actorder": True},
        "gptq_int4_64_wide": {"group_size": 64, "columns": 384},  # errors of a block of 128 reach the groups behind it
        "gptq_int4_64_wide_order": {"group_size": 64, "columns": 384, "actorder": True},
    }
    for name, case in cases.items():
        given = dict(case)
        bits, symmetric, columns = given.pop("bits", 4), given.pop("sym", True), given.pop("columns", COLUMNS)
        values = original(columns)
        target = layer(values)
        asked = method.GPTQ(target)
        asked.quantizer = quantizer.Quantizer()
        asked.quantizer.configure(bits, perchannel=True, sym=symmetric, mse=False)
        mix = torch.randn(columns, columns, generator=GENERATOR) * 0.3 + torch.eye(columns)
        asked.add_batch(torch.randn(512, columns, generator=GENERATOR) @ mix, None)
        scale, zero, order = asked.fasterquant(percdamp=0.01, **given)
        target.weight.data = target.weight.data.half()
        packed = packing.QuantLinear(
            bits, given.get("group_size", -1), columns, ROWS, False, weight_dtype=torch.float16
        )
        packed.pack(target, scale.float(), zero.float(), order)
        codes = torch.round(target.weight.data.float() / packed.scales.float().T[:, packed.g_idx.long()])
        decoded = (codes.half() * packed.scales.T[:, packed.g_idx.long()]).float()
        keep(name, packed, decoded, values)


def awq(clone: Path) -> None:
    """Rounded to nearest with a zero point, and the same of columns that were scaled as importance asks."""
    source = ast.parse((clone / "awq" / "quantize" / "quantizer.py").read_text())
    (found,) = (
        node for node in ast.walk(source) if isinstance(node, ast.FunctionDef) and node.name == "pseudo_quantize_tensor"
    )
    space: dict[str, Any] = {"torch": torch}
    exec(compile(ast.Module([found], []), "quantizer.py", "exec"), space)
    packing = module("gemm", clone / "awq" / "modules" / "linear" / "gemm.py")
    for name in ("awq_int4_64", "awq_int4_64_scaled"):
        values = original()
        factors = (
            torch.rand(COLUMNS, generator=GENERATOR) * 1.5 + 0.5 if name.endswith("scaled") else torch.ones(COLUMNS)
        )
        scaled = values * factors
        settings = types.SimpleNamespace(group_size=64, zero_point=True, w_bit=4)
        made, scales, zeros = space["pseudo_quantize_tensor"](settings, scaled)
        packed = packing.WQLinear_GEMM.from_linear(
            layer(made), 4, 64, scales=scales.t().contiguous(), zeros=zeros.t().contiguous()
        )
        wide = packed.scales.float().T.repeat_interleave(64, 1)
        points = zeros.repeat_interleave(64, 1)
        codes = torch.clamp(torch.round((made + points * scales.repeat_interleave(64, 1)) / wide), 0, 15)
        keep(name, packed, ((codes - points).half() * wide.half()).float(), values)


def main() -> None:
    gptq_clone, awq_clone = map(Path, sys.argv[1:3])
    FOLDER.mkdir(parents=True, exist_ok=True)
    stand_ins()
    gptq(gptq_clone)
    awq(awq_clone)
    np.savez_compressed(FOLDER / "values.npz", **VALUES)


if __name__ == "__main__":
    main()
