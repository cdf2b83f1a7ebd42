"""Which schemes have a name? What people mean when they say how a tensor is quantized."""

from __future__ import annotations

from qviz.core.formats.codebooks import Codebook
from qviz.core.formats.floats import FloatFormat
from qviz.core.formats.integers import IntFormat
from qviz.core.frozen import frozen
from qviz.core.problems import N_, Phrase
from qviz.core.ranges.entropy import Entropy
from qviz.core.ranges.mse import MSE
from qviz.core.ranges.onnxruntime import OnnxRuntimePercentile
from qviz.core.ranges.paddle import PaddleHistogram, PaddleKL
from qviz.core.ranges.tensorrt import TensorRTEntropy
from qviz.core.ranges.torch import MovingAverage, TorchHistogram
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.granularity import PerAxis, PerBlock, PerTensor, PerTile, PerToken

INT8, UINT8, INT4, UINT4 = IntFormat(8), IntFormat(8, signed=False), IntFormat(4), IntFormat(4, signed=False)
UINT5 = IntFormat(5, signed=False)
BLOCKS = PerBlock(-1, 32)


@frozen
class Preset:
    """A named scheme.

    Attributes
    ----------
    group : str
        Under which heading it stands.
    name : str
    about : str or Phrase
        Where it is met.
    scheme : Scheme
    """

    group: str
    name: str
    about: str | Phrase
    scheme: Scheme


LESSON, RUNTIMES, MODELS, MICROSCALING, GGUF = (
    N_("The lesson"),
    N_("Runtimes"),
    N_("Language models"),
    N_("Microscaling"),
    N_("GGUF"),
)

PRESETS = (
    Preset(
        LESSON,
        N_("Symmetric"),
        N_("int8 −128…127 around zero, by the textbook."),
        Scheme(INT8, True, convention="textbook"),
    ),
    Preset(
        LESSON,
        N_("Asymmetric"),
        N_("uint8 0…255 from min to max, by the textbook."),
        Scheme(UINT8, False, convention="textbook"),
    ),
    Preset(
        LESSON,
        N_("Static with KL divergence"),
        N_("Calibrated once: the threshold that keeps most of the information, in 2048 bins."),
        Scheme(INT8, True, range_rule=Entropy()),
    ),
    Preset(
        LESSON,
        N_("Dynamic"),
        N_("Scale and zero point are computed whenever a tensor arrives: ONNX Runtime's DynamicQuantizeLinear."),
        Scheme(UINT8, False, convention="onnxruntime_dynamic"),
    ),
    Preset(
        RUNTIMES,
        N_("ONNX Runtime static int8"),
        N_("Weights as quantize_static and quantize_dynamic store them by default: symmetric, min–max."),
        Scheme(INT8, True),
    ),
    Preset(
        RUNTIMES,
        N_("ONNX Runtime static uint8"),
        N_("Activations with QuantType.QUInt8: asymmetric, min–max."),
        Scheme(UINT8, False),
    ),
    Preset(
        RUNTIMES,
        N_("ONNX Runtime static int8 activations"),
        N_("As quantize_static stores them by default: asymmetric, min–max."),
        Scheme(INT8, False),
    ),
    Preset(
        RUNTIMES,
        N_("ONNX Runtime percentile int8"),
        N_("Activations with CalibrationMethod.Percentile: asymmetric, calibrated with 99.999 % of the values."),
        Scheme(INT8, False, range_rule=OnnxRuntimePercentile()),
    ),
    Preset(
        RUNTIMES,
        N_("ONNX Runtime entropy int8"),
        N_("Activations with CalibrationMethod.Entropy: asymmetric, in 128 bins, which clip nothing."),
        Scheme(INT8, False, range_rule=Entropy(bins=128)),
    ),
    Preset(
        RUNTIMES,
        N_("ONNX Runtime MatMulNBits 4 bits, block 128"),
        N_("MatMulNBitsQuantizer as it is by default: uint4 in blocks of 128, asymmetric."),
        Scheme(UINT4, False, PerBlock(-1, 128), convention="onnxruntime_matmulnbits"),
    ),
    Preset(
        RUNTIMES,
        N_("ONNX Runtime HQQ 4 bits, block 128"),
        N_("MatMulNBitsQuantizer with HQQWeightOnlyQuantConfig: real zero points, moved so that errors get small."),
        Scheme(UINT4, False, PerBlock(-1, 128), convention="onnxruntime_hqq"),
    ),
    Preset(
        RUNTIMES,
        N_("ONNX Runtime k_quant 4 bits, block 128"),
        N_("MatMulNBitsQuantizer with KQuantWeightOnlyQuantConfig: scale and minimum of the least weighted error."),
        Scheme(UINT4, False, PerBlock(-1, 128), convention="onnxruntime_k_quant"),
    ),
    Preset(
        RUNTIMES,
        N_("torchao int8 weights"),
        N_("Int8WeightOnlyConfig: a scale for each row."),
        Scheme(INT8, True, PerAxis(0), convention="torchao_int8"),
    ),
    Preset(
        RUNTIMES,
        N_("PyTorch per-channel int8 weights"),
        N_("PerChannelMinMaxObserver along the first axis."),
        Scheme(INT8, True, PerAxis(0), convention="pytorch"),
    ),
    Preset(
        RUNTIMES,
        N_("PyTorch activations uint8"),
        N_("HistogramObserver, asymmetric, in 7 bits: the default qconfig of x86."),
        Scheme(UINT8, False, range_rule=TorchHistogram(), convention="pytorch_reduce_range"),
    ),
    Preset(
        RUNTIMES, N_("TensorRT int8"), N_("absmax / 127, no zero point."), Scheme(INT8, True, convention="tensorrt")
    ),
    Preset(
        RUNTIMES,
        N_("TensorRT entropy int8"),
        N_("Activations as NVIDIA's Model Optimizer calibrates them; TensorRT's own calibrator is not public."),
        Scheme(INT8, True, range_rule=TensorRTEntropy(), convention="tensorrt"),
    ),
    Preset(
        RUNTIMES,
        N_("TFLite int8 weights"),
        N_("Per channel, −127…127."),
        Scheme(INT8, True, PerAxis(0), convention="tflite"),
    ),
    Preset(
        RUNTIMES,
        N_("TFLite int8 activations"),
        N_("Asymmetric, from extremes that follow each batch by 5 %: ai-edge-quantizer's static_wi8_ai8."),
        Scheme(INT8, False, range_rule=MovingAverage(0.05), convention="tflite"),
    ),
    Preset(
        RUNTIMES,
        N_("TFLite int4 weights, block 32"),
        N_("Symmetric, scales of bfloat16's mantissa in float16: ai-edge-quantizer's dynamic_wi4b32_afp32."),
        Scheme(INT4, True, BLOCKS, convention="tflite"),
    ),
    Preset(
        RUNTIMES,
        N_("OpenVINO int8 weights"),
        N_("As nncf.quantize stores them by default: −127…127, a scale for each output."),
        Scheme(INT8, True, PerAxis(0), convention="nncf_quantized"),
    ),
    Preset(
        RUNTIMES,
        N_("PaddleSlim static int8"),
        N_("Activations as quant_post_static stores them by default: 99.99 % of a histogram."),
        Scheme(INT8, True, range_rule=PaddleHistogram(), convention="paddle"),
    ),
    Preset(
        RUNTIMES,
        N_("PaddleSlim per-channel int8 weights"),
        N_("quant_post_static's channel_wise_abs_max, a scale for each output."),
        Scheme(INT8, True, PerAxis(0), convention="paddle"),
    ),
    Preset(
        RUNTIMES,
        N_("PaddleSlim KL int8"),
        N_("Activations with quant_post_static's algo=\"KL\": Paddle's own divergence."),
        Scheme(INT8, True, range_rule=PaddleKL(), convention="paddle"),
    ),
    Preset(
        MODELS,
        N_("LLM int4 group 128"),
        N_("Weights in groups of 128, symmetric, as GPTQ and torchao store them."),
        Scheme(INT4, True, PerBlock(-1, 128), convention="torchao"),
    ),
    Preset(
        MODELS,
        N_("LLM uint4 group 32, asymmetric"),
        N_("Weights in groups of 32 with a zero point each, as AWQ stores them."),
        Scheme(UINT4, False, PerBlock(-1, 32), convention="torchao"),
    ),
    Preset(
        MODELS,
        N_("int8 activations per token"),
        N_("One scale a token, symmetric: torchao's Int8DynamicActivationInt8WeightConfig."),
        Scheme(INT8, True, PerToken(), convention="torchao_int8"),
    ),
    Preset(
        MODELS,
        N_("FP8 E4M3 per tensor"),
        N_("absmax / 448."),
        Scheme(FloatFormat("e4m3fn"), True, convention="torchao"),
    ),
    Preset(
        MODELS,
        N_("FP8 E4M3, bare cast"),
        N_("x.astype(float8_e4m3fn) of JAX and ml_dtypes: no scale, and NaN beyond 448."),
        Scheme(FloatFormat("e4m3fn"), True, convention="cast_float8"),
    ),
    Preset(
        MODELS,
        N_("FP8 E4M3 in tiles of 128 × 128"),
        N_("absmax / 448 of each tile: how DeepSeek-V3 stores its weights."),
        Scheme(FloatFormat("e4m3fn"), True, PerTile(), convention="torchao"),
    ),
    Preset(
        MODELS,
        N_("FP8 E4M3 in tiles, scales 2ⁿ"),
        N_("absmax / 448 of each tile of 128 × 128, rounded up to a power of two: DeepSeek-V3.1's UE8M0."),
        Scheme(FloatFormat("e4m3fn"), True, PerTile(), convention="torchao", power_of_two=True),
    ),
    Preset(
        MODELS,
        N_("FP8 E4M3 in groups of 128"),
        N_("absmax / 448 of each 128 neighbours: activations beside DeepSeek-V3's tiles."),
        Scheme(FloatFormat("e4m3fn"), True, PerBlock(-1, 128), convention="torchao"),
    ),
    Preset(
        MODELS,
        N_("NF4 block 64"),
        N_("QLoRA's normal float: 16 quantiles of a normal distribution, absmax of 64 weights."),
        Scheme(Codebook("nf4"), True, PerBlock(-1, 64), convention="bitsandbytes"),
    ),
    Preset(
        MODELS,
        N_("NF4 block 64, double quantization"),
        N_("QLoRA as it is meant to be used: the absmax of 64 weights in 8 bits, 4.13 bits an element."),
        Scheme(Codebook("nf4"), True, PerBlock(-1, 64), convention="bitsandbytes_double"),
    ),
    Preset(
        MODELS,
        N_("FP4 block 64, bitsandbytes"),
        N_("quantize_4bit as it is by default: its own FP4, absmax of 64 weights."),
        Scheme(Codebook("fp4_bnb"), True, PerBlock(-1, 64), convention="bitsandbytes"),
    ),
    Preset(
        MODELS,
        N_("int4 with least MSE"),
        N_("The best a single scale can do."),
        Scheme(INT4, True, PerTensor(), MSE()),
    ),
    *(
        Preset(
            MICROSCALING,
            f"MX{word}",
            Phrase(
                "Blocks of 32 {number_format} values with a power of two each.", number_format=FloatFormat(layout).label
            ),
            Scheme(FloatFormat(layout), True, BLOCKS, convention="mx_floor"),
        )
        for word, layout in (("FP8 E4M3", "e4m3fn"), ("FP8 E5M2", "e5m2"), ("FP6 E2M3", "e2m3fn"), ("FP4", "e2m1fn"))
    ),
    Preset(
        MICROSCALING,
        N_("MXINT8"),
        N_("Blocks of 32 integers, by the OCP specification."),
        Scheme(INT8, True, BLOCKS, convention="mx_floor"),
    ),
    Preset(
        MICROSCALING,
        N_("NVFP4"),
        N_("Blocks of 16 FP4 values with an FP8 scale each."),
        Scheme(FloatFormat("e2m1fn"), True, PerBlock(-1, 16), convention="nvfp4"),
    ),
    *(
        Preset(
            GGUF,
            f"GGUF {name}",
            Phrase("llama.cpp's {name}: {bits} bits an element.", name=name, bits=bits),
            Scheme(*parts, convention="gguf"),
        )
        for name, bits, parts in (
            ("Q4_0", 4.5, (UINT4, True, BLOCKS)),
            ("Q4_1", 5, (UINT4, False, BLOCKS)),
            ("Q5_0", 5.5, (UINT5, True, BLOCKS)),
            ("Q5_1", 6, (UINT5, False, BLOCKS)),
            ("Q8_0", 8.5, (INT8, True, BLOCKS)),
        )
    ),
    *(
        Preset(
            GGUF,
            f"GGUF {name}",
            Phrase("llama.cpp's {name}: {bits} bits an element.", name=name, bits=bits),
            Scheme(IntFormat(width, signed), signed, PerBlock(-1, group), convention=name.lower()),
        )
        for name, bits, width, signed, group in (
            ("Q2_K", 2.625, 2, False, 16),
            ("Q3_K", 3.4375, 3, True, 16),
            ("Q4_K", 4.5, 4, False, 32),
            ("Q5_K", 5.5, 5, False, 32),
            ("Q6_K", 6.5625, 6, True, 16),
        )
    ),
    *(
        Preset(
            GGUF,
            f"GGUF {name}",
            Phrase("llama.cpp's {name}: {bits} bits an element.", name=name, bits=bits),
            Scheme(codes, True, PerBlock(-1, block), convention=convention),
        )
        for name, bits, codes, block, convention in (
            ("IQ4_NL", 4.5, Codebook("iq4_nl"), 32, "iq4_nl"),
            ("IQ4_XS", 4.25, Codebook("iq4_nl"), 32, "iq4_xs"),
            ("TQ1_0", 1.6875, IntFormat(2), 256, "tq1_0"),
            ("TQ2_0", 2.0625, IntFormat(2), 256, "tq2_0"),
            ("MXFP4", 4.25, Codebook("fp4_ggml"), 32, "ggml_mxfp4"),
            ("NVFP4", 4.5, Codebook("fp4_ggml"), 16, "ggml_nvfp4"),
        )
    ),
)
"""Every preset, group by group."""
