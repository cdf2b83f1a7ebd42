"""Record small quantized checkpoints as the libraries themselves write them, their originals and what they decode to.

Run in an environment of its own: ``pip install torch==2.13.0 torchao==0.18.0 bitsandbytes==0.50.2
compressed-tensors==0.20.1 safetensors numpy``, then ``python tests/golden/record_quantized.py``. The files lie in
``tests/golden/checkpoints/quantized``; ``values.npz`` holds of each file what its library decodes (float32), and under
``…/original`` what was quantized.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

FOLDER = Path(__file__).parent / "checkpoints" / "quantized"
GENERATOR = torch.Generator().manual_seed(1)
VALUES: dict[str, np.ndarray] = {}


def weight(rows: int = 16, columns: int = 128) -> torch.Tensor:
    """Normal values with an outlier."""
    values = torch.randn(rows, columns, generator=GENERATOR) * 0.05
    values[1, 3] = 0.6
    return values


def keep(name: str, tensors: dict[str, torch.Tensor], decoded: torch.Tensor, original: torch.Tensor) -> None:
    """A file, what it decodes to, and what it was made of."""
    save_file({key: value.contiguous() for key, value in tensors.items()}, FOLDER / f"{name}.safetensors")
    VALUES[name] = decoded.float().numpy()
    VALUES[f"{name}/original"] = original.float().numpy()


def bitsandbytes() -> None:
    """NF4, FP4, with scales that are quantized too, and int8."""
    from bitsandbytes import functional

    for kind in ("nf4", "fp4"):
        for nested in (False, True):
            values = weight(32, 512) if nested else weight()  # whole blocks of 256 scales
            codes, state = functional.quantize_4bit(values, blocksize=64, compress_statistics=nested, quant_type=kind)
            tensors = {f"layer.weight.{key}": value for key, value in state.as_dict(packed=True).items()}
            decoded = functional.dequantize_4bit(codes, state)
            name = f"bitsandbytes_{kind}{'_nested' if nested else ''}"
            keep(name, {"layer.weight": codes, **tensors}, decoded, values)
    values = weight().half()
    codes, scales, _ = functional.int8_vectorwise_quant(values)
    decoded = functional.int8_vectorwise_dequant(codes, scales)
    keep("bitsandbytes_int8", {"layer.weight": codes, "layer.SCB": scales}, decoded, values)


def compressed_tensors() -> None:
    """What llm-compressor writes: packed integers, int8, float8 and NVFP4, scales as its observers choose them."""
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
    from compressed_tensors.quantization.utils import calculate_qparams, generate_gparam

    def record(name: str, form: str, scale_type: torch.dtype | None = None, **arguments: object) -> None:
        args = QuantizationArgs(**arguments)
        scheme = QuantizationScheme(targets=["Linear"], weights=args)
        values = weight()
        group = args.group_size or (values.shape[1] if args.strategy == "channel" else values.numel())
        grouped = values.reshape(-1, group) if args.strategy != "tensor" else values.reshape(1, -1)
        low, high = grouped.amin(1), grouped.amax(1)
        whole = generate_gparam(values.min(), values.max()) if args.strategy == "tensor_group" else None
        scale, zero = calculate_qparams(low, high, args, whole)
        shape = (values.shape[0], -1) if args.strategy != "tensor" else (1,)
        state = {"weight": values, "weight_scale": scale.reshape(shape), "weight_zero_point": zero.reshape(shape)}
        if scale_type is not None:
            state["weight_scale"] = state["weight_scale"].to(scale_type)
        if whole is not None:
            state["weight_global_scale"] = whole
        compressor = BaseCompressor.get_value_from_registry(form)
        packed = compressor.compress(state, scheme)
        decoded = compressor.decompress(packed, scheme)["weight"]
        keep(name, {f"layer.{key}": value for key, value in packed.items()}, decoded, values)

    by_group = {"strategy": "group", "group_size": 32}
    int4 = {"num_bits": 4, "type": "int", **by_group}
    int8 = {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "channel"}
    float8 = {"num_bits": 8, "type": "float", "symmetric": True}
    float4 = {"num_bits": 4, "type": "float", "symmetric": True, "strategy": "tensor_group", "group_size": 16}
    record("compressed_int4_group", "pack-quantized", symmetric=True, **int4)
    record("compressed_int4_group_bf16", "pack-quantized", torch.bfloat16, symmetric=True, **int4)
    record("compressed_int4_asymmetric", "pack-quantized", symmetric=False, **int4)
    record("compressed_int8_packed", "pack-quantized", **int8)
    record("compressed_int8", "int-quantized", **int8)
    record("compressed_float8", "float-quantized", strategy="channel", **float8)
    record("compressed_float8_tensor", "float-quantized", strategy="tensor", **float8)
    record("compressed_nvfp4", "nvfp4-pack-quantized", **float4)


def torchao() -> None:
    """What ``torchao.prototype.safetensors`` flattens a state_dict into."""
    from torchao.prototype.safetensors.safetensors_support import flatten_tensor_state_dict
    from torchao.quantization import Float8WeightOnlyConfig, Int4WeightOnlyConfig, Int8WeightOnlyConfig, quantize_

    for name, config in (
        ("torchao_int8", Int8WeightOnlyConfig()),
        ("torchao_float8", Float8WeightOnlyConfig()),
        ("torchao_int4", Int4WeightOnlyConfig(group_size=32)),
    ):
        layer = torch.nn.Linear(128, 16, bias=False, dtype=torch.bfloat16)
        layer.weight.data = weight().bfloat16()
        original = layer.weight.data.clone()
        model = torch.nn.Sequential(layer)
        try:
            quantize_(model, config)
            flat, metadata = flatten_tensor_state_dict(model.state_dict())
            decoded = model[0].weight.dequantize()
        except Exception as error:  # a kernel that this machine does not have
            print(name, "is left out:", str(error)[:100])
            continue
        save_file({key: value.contiguous() for key, value in flat.items()}, FOLDER / f"{name}.safetensors", metadata)
        VALUES[name], VALUES[f"{name}/original"] = decoded.float().numpy(), original.float().numpy()


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for record_all in (bitsandbytes, compressed_tensors, torchao):
        try:
            record_all()
        except ImportError as error:
            print(record_all.__name__, error)
    np.savez_compressed(FOLDER / "values.npz", **VALUES)
