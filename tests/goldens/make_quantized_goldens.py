"""Makes tests/data/quantized: small matrices quantised by the libraries that people use, and what the
same libraries read out of them.

    python tests/goldens/make_quantized_goldens.py --gptqmodel DIR

    torch 2.13.0 (CPU), compressed-tensors 0.20.1, mlx 0.32.4 (CPU), transformers 5.24.0,
    autoawq 0.2.9 and gptqmodel 7.7.0 (their sources: --gptqmodel is the unpacked source package)

NAME.safetensors holds the matrices as a checkpoint would, golden.json for each file the entry of
config.json and for each matrix its shape, the type its rows are given in, and the sha256 of its numbers
widened to float32 (little-endian). Who made and who read which:

    compressed-tensors  its compressors' compress() and decompress(), with float32 scales of the values
                        that the file stores in bfloat16: then nothing is rounded
    fp8                 quantised by compressed-tensors (block strategy, edge blocks included), read by
                        transformers' Fp8Dequantize where no block is cut off, by compressed-tensors else
    awq                 WQLinear_GEMM.from_linear; read by awq's dequantize_gemm with float32 scales
    gptq                pack_original, dequantize_weight of GPTQModel's BaseQuantLinear, taken out of its
                        source, since importing it wants a GPU's packages; zeros of format v1 are those of
                        v2 minus one, field by field, done here
    mlx                 mx.quantize; read by mx.dequantize with scales and biases widened to float32
"""

import argparse
import ast
import hashlib
import importlib.util
import json
import math
import pathlib
import sys
import types

import numpy as np
import torch
from safetensors.torch import save_file

OUT = pathlib.Path(__file__).resolve().parent.parent / "data" / "quantized"
SHAPES = {"a": (48, 128), "b": (40, 256), "narrow": (24, 96)}
GOLDEN = []


def draw(name, shape):
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little")
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 0.1


def digest(values):
    return hashlib.sha256(np.ascontiguousarray(values, dtype="<f4").tobytes()).hexdigest()


def add(name, config, tensors, matrices):
    """matrices: module -> (values widened by the library, row type)."""
    save_file({k: v.contiguous() for k, v in tensors.items()}, OUT / f"{name}.safetensors")
    GOLDEN.append({"name": name, "config": config, "matrices": {
        module: {"shape": list(values.shape), "type": kind, "sha256": digest(values)}
        for module, (values, kind) in matrices.items()}})


# ---- compressed-tensors ---------------------------------------------------------------------------

def ct_scales(weight, args):
    """Scales (bfloat16 values) and zero points of a matrix, by compressed-tensors' own calculation."""
    from compressed_tensors.quantization.utils import calculate_qparams
    rows, columns = weight.shape
    if args.strategy == "block":
        br, bc = args.block_structure
        padded = torch.zeros(math.ceil(rows / br) * br, math.ceil(columns / bc) * bc)
        padded[:rows, :columns] = weight
        tiles = padded.unflatten(1, (-1, bc)).unflatten(0, (-1, br)).transpose(1, 2).flatten(2)
    elif args.strategy == "tensor":
        tiles = weight.reshape(1, -1)
    elif args.strategy == "group":
        tiles = weight.unflatten(1, (-1, args.group_size))
    else:
        tiles = weight.unsqueeze(1)
    scale, zero = calculate_qparams(tiles.amin(-1), tiles.amax(-1), args)
    return scale.to(torch.bfloat16), zero


def ct_module(weight, scheme):
    from compressed_tensors.compressors.base import BaseCompressor
    compressor = BaseCompressor.get_value_from_registry(scheme.format)
    scale, zero = ct_scales(weight, scheme.weights)
    state = {"weight": weight, "weight_scale": scale.float(), "weight_zero_point": zero}
    if scheme.weights.symmetric:
        del state["weight_zero_point"]
    packed = compressor.compress(state, scheme)
    values = compressor.decompress(packed, scheme)["weight"]
    assert values.dtype == torch.float32
    stored = packed | {"weight_scale": scale}
    return stored, values


def ct(name, kind, fmt, args, shapes=None, extra=()):
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
    scheme = QuantizationScheme(targets=["Linear"], weights=QuantizationArgs(**args), format=fmt)
    tensors, matrices = {}, {}
    for module, shape in (shapes or SHAPES).items():
        stored, values = ct_module(draw(name + module, shape), scheme)
        tensors |= {f"{module}.{part}": t for part, t in stored.items()}
        fits = shape[1] % 32 == 0 and args.get("group_size", 32) % 32 == 0
        matrices[module] = (values, kind if fits else "float32")
    for part, value in extra:
        tensors["a." + part] = value
    weights = {"num_bits": 8, "symmetric": True, "dynamic": False, "group_size": None, "actorder": None,
               "block_structure": None} | args
    add(name, {"quantization_config": {
        "quant_method": "compressed-tensors", "format": fmt, "quantization_status": "compressed",
        "ignore": ["lm_head", "re:.*mlp.gate$"], "kv_cache_scheme": None, "sparsity_config": {},
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights,
                                      "input_activations": None, "output_activations": None}}}},
        tensors, matrices)


def compressed_tensors():
    integer = {"type": "int", "symmetric": True}
    group = integer | {"num_bits": 4, "strategy": "group", "group_size": 32}
    ct("ct_w4a16_group", "int4", "pack-quantized", group)
    ct("ct_w4a16_asym", "int4", "pack-quantized", group | {"symmetric": False})
    ct("ct_w4a16_channel", "int4", "pack-quantized", integer | {"num_bits": 4, "strategy": "channel"},
       {"a": (20, 64), "odd": (7, 45)})
    ct("ct_w4a16_group16", "int4", "pack-quantized", group | {"group_size": 16}, {"a": (16, 64)})
    ct("ct_w8a16_group", "int8", "pack-quantized", group | {"num_bits": 8, "group_size": 32}, {"a": (24, 96)})
    ct("ct_w8a16_channel_asym", "int8", "pack-quantized",
       {"type": "int", "num_bits": 8, "strategy": "channel", "symmetric": False}, {"a": (22, 64)})
    ct("ct_w8a8", "int8", "int-quantized", integer | {"num_bits": 8, "strategy": "channel"},
       {"a": (20, 96), "odd": (5, 33)})
    ct("ct_w8a8_asym", "int8", "int-quantized",
       {"type": "int", "num_bits": 8, "strategy": "channel", "symmetric": False}, {"a": (20, 64)})
    real = {"type": "float", "num_bits": 8, "symmetric": True}
    ct("ct_fp8_channel", "float8_e4m3", "float-quantized", real | {"strategy": "channel"},
       {"a": (20, 96), "odd": (5, 33)})
    ct("ct_fp8_tensor", "float8_e4m3", "float-quantized", real | {"strategy": "tensor"}, {"a": (16, 64)},
       [("input_scale", torch.tensor([0.5], dtype=torch.bfloat16))])
    ct("ct_fp8_block", "float8_e4m3", "float-quantized",
       real | {"strategy": "block", "block_structure": [16, 32]}, {"a": (32, 64), "edge": (21, 80)})


# ---- official FP8 ---------------------------------------------------------------------------------

def fp8():
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
    from transformers.integrations.finegrained_fp8 import Fp8Dequantize
    block = [128, 128]
    scheme = QuantizationScheme(targets=["Linear"], format="float-quantized", weights=QuantizationArgs(
        type="float", num_bits=8, strategy="block", block_structure=block))
    for name, dtype in (("fp8_bf16", torch.bfloat16), ("fp8_f32", torch.float32), ("fp8_f16", torch.float16)):
        tensors, matrices = {}, {}
        for module, shape in {"a": (128, 128), "edge": (130, 160), "odd": (3, 133)}.items():
            if dtype != torch.bfloat16 and module == "a":
                continue
            weight = draw(name + module, shape)
            stored, values = ct_module(weight, scheme)
            scale = stored["weight_scale"].to(dtype)
            if module == "a":  # one matrix of whole blocks by transformers as well
                again = Fp8Dequantize(None)._dequantize_one(
                    stored["weight"], stored["weight_scale"], output_dtype=torch.float32)
                assert torch.equal(again, values)
            tensors |= {f"{module}.weight": stored["weight"], f"{module}.weight_scale_inv": scale}
            kind = ("float8_e4m3 of 128" if shape[1] % 128 == 0
                    else "float8_e4m3" if shape[1] % 32 == 0 else "float32")
            matrices[module] = (values, kind)
        add(name, {"quantization_config": {
            "quant_method": "fp8", "activation_scheme": "dynamic", "fmt": "e4m3",
            "weight_block_size": block, "modules_to_not_convert": ["lm_head"]}}, tensors, matrices)


# ---- AWQ, GPTQ ------------------------------------------------------------------------------------

def load_file(path, name):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def awq_module():
    """awq's gemm.py and packing_utils.py without its __init__, which wants old transformers."""
    root = pathlib.Path(importlib.util.find_spec("awq").submodule_search_locations[0])
    for name in ("awq", "awq.utils", "awq.modules", "awq.modules.linear"):
        package = types.ModuleType(name)
        package.__path__ = [str(root.joinpath(*name.split(".")[1:]))]
        sys.modules[name] = package
    load_file(root / "utils" / "packing_utils.py", "awq.utils.packing_utils")
    return load_file(root / "modules" / "linear" / "gemm.py", "awq.modules.linear.gemm")


def grid(weight, group, bits, low, high):
    """Scales [out, G] (float16 values) and whole zeros in [low, high] of groups of columns."""
    tiles = weight.unflatten(1, (-1, group))
    top, bottom = tiles.amax(-1).clamp(min=0), tiles.amin(-1).clamp(max=0)
    scales = ((top - bottom) / (2**bits - 1)).half().float()
    return scales, (-bottom / scales).round().clamp(low, high)


def linear_of(weight):
    linear = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    linear.weight.data = weight
    return linear


def awq():
    gemm = awq_module()
    for name, group, more in (("awq", 32, {}), ("awq_old_spelling", 64, {"w_bit": 4, "q_group_size": 64}),
                              ("awq_group16", 16, {})):
        tensors, matrices = {}, {}
        for module, shape in {"a": (64, 128), "b": (32, 64)}.items():
            weight = draw(name + module, shape)
            scales, zeros = grid(weight, group, 4, 0, 15)
            s, z = (x.repeat_interleave(group, 1) for x in (scales, zeros))
            weight = ((weight / s + z).round().clamp(0, 15) - z) * s  # from_linear does not clamp
            made = gemm.WQLinear_GEMM.from_linear(
                linear_of(weight), 4, group, scales=scales.T.contiguous(),
                zeros=zeros.T.contiguous())
            values = gemm.dequantize_gemm(made.qweight, made.qzeros, made.scales.float(), 4, group).T
            tensors |= {f"{module}.{part}": getattr(made, part) for part in ("qweight", "qzeros", "scales")}
            matrices[module] = (values, "int4" if group % 32 == 0 else "float32")
        sizes = more or {"bits": 4, "group_size": group}
        add(name, {"quantization_config": {"quant_method": "awq", "zero_point": True, "version": "gemm",
                                           "modules_to_not_convert": None} | sizes}, tensors, matrices)


def gptq_class(root):
    """pack_original and dequantize_weight of GPTQModel, out of its source."""
    path = pathlib.Path(root) / "gptqmodel" / "nn_modules" / "qlinear" / "__init__.py"
    wanted = {"pack_original", "dequantize_weight", "_dequantize_from_codes", "_init_wf_unsqueeze_buffers",
              "_torch_right_shift"}
    found = [node for node in ast.walk(ast.parse(path.read_text()))
             if isinstance(node, ast.FunctionDef) and node.name in wanted]
    import contextlib
    import typing
    import transformers
    limits = types.SimpleNamespace(threadpool_limits=lambda n: contextlib.nullcontext())
    space = {"t": torch, "np": np, "math": math, "nn": torch.nn, "transformers": transformers,
             "THREADPOOLCTL": limits, "_ConvNd": torch.nn.modules.conv._ConvNd} | vars(typing)
    exec(compile(ast.Module(found, []), str(path), "exec"), space)

    class Linear(torch.nn.Module):
        pack_original = space["pack_original"]
        dequantize_weight = space["dequantize_weight"]
        _dequantize_from_codes = space["_dequantize_from_codes"]
        planar = False
        pack_np_math_dtype, pack_np_dtype, pack_dtype_bits = np.uint32, np.int32, 32
        dequant_dtype = torch.int32

        def __init__(self, bits, shape):
            super().__init__()
            self.bits, self.maxq, self.pack_factor = bits, 2**bits - 1, 32 // bits
            self.out_features, self.in_features = shape
            shifts = torch.arange(0, 32, bits, dtype=torch.int32)
            self.wf_unsqueeze_zero, self.wf_unsqueeze_neg_one = shifts.view(1, 1, -1), shifts.view(1, -1, 1)

        def _init_wf_unsqueeze_buffers(self):
            pass

    return Linear


def minus_one(words, bits):
    fields = (words.numpy().view(np.uint32)[..., None] >> np.arange(0, 32, bits, dtype=np.uint32)) & (2**bits - 1)
    assert fields.min() >= 1
    shifted = (fields - 1) << np.arange(0, 32, bits, dtype=np.uint32)
    return torch.from_numpy(shifted.sum(-1).astype(np.uint32).view(np.int32))


def gptq(root):
    Linear = gptq_class(root)
    for name, bits, group, sym, act, fmt in (
            ("gptq4", 4, 32, True, False, "gptq"), ("gptq4_asym", 4, 64, False, False, "gptq"),
            ("gptq4_v2", 4, 32, False, False, "gptq_v2"), ("gptq8", 8, 32, True, False, "gptq"),
            ("gptq8_v2", 8, -1, False, False, "gptq_v2"), ("gptq4_desc_act", 4, 32, True, True, "gptq"),
            ("gptq8_desc_act", 8, 32, False, True, "gptq_v2")):
        tensors, matrices = {}, {}
        for module, shape in {"a": (48, 128), "b": (32, 64)}.items():
            weight = draw(name + module, shape)
            size = shape[1] if group == -1 else group
            middle = 2 ** (bits - 1)
            low, high = (middle, middle) if sym else (0 if fmt == "gptq_v2" else 1, 2**bits - 1)
            scales, zeros = grid(weight, size, bits, low, high)
            order = torch.arange(shape[1])
            if act:
                order = torch.randperm(shape[1], generator=torch.Generator().manual_seed(7))
            g_idx = torch.empty(shape[1], dtype=torch.int32)
            g_idx[order] = (torch.arange(shape[1]) // size).int()
            made = Linear(bits, shape)
            made.pack_original(linear_of(weight), scales, zeros, g_idx)
            stored = {part: getattr(made, part).clone() for part in ("qweight", "qzeros", "scales", "g_idx")}
            if fmt == "gptq":
                stored["qzeros"] = minus_one(stored["qzeros"], bits)
            made.scales = made.scales.float()
            values = made.dequantize_weight().T
            if name == "gptq8_v2":
                del stored["g_idx"]
            tensors |= {f"{module}.{part}": tensor for part, tensor in stored.items()}
            matrices[module] = (values, "float32" if act else f"int{bits}")
        add(name, {"quantization_config": {
            "quant_method": "gptq", "bits": bits, "group_size": group, "desc_act": act, "sym": sym,
            "damp_percent": 0.01, "static_groups": False, "true_sequential": True,
            "checkpoint_format": fmt}}, tensors, matrices)


# ---- MLX ------------------------------------------------------------------------------------------

def mlx():
    import mlx.core as mx

    def to_torch(array):
        if array.dtype == mx.bfloat16:
            return torch.from_numpy(np.array(array.view(mx.uint16)).view(np.int16)).view(torch.bfloat16)
        return torch.from_numpy(np.array(array))

    for bits in (2, 3, 4, 5, 6, 8):
        tensors, matrices = {}, {}
        modules = {"a": ((20, 128), 64, bits), "own": ((8, 64), 32, 8)}
        if bits == 4:
            modules["stack"] = ((3, 10, 64), 64, 4)
        for module, (shape, group, n) in modules.items():
            weight = mx.array(draw(f"mlx{bits}{module}", shape).numpy())
            dtype = mx.float16 if bits == 2 else mx.bfloat16
            w, scales, biases = mx.quantize(weight.astype(dtype), group_size=group, bits=n)
            values = mx.dequantize(w, scales.astype(mx.float32), biases.astype(mx.float32),
                                   group_size=group, bits=n)
            if bits == 3:  # the same numbers, stored wider: with longer ones a fused multiply-add would show
                scales, biases = scales.astype(mx.float32), biases.astype(mx.float32)
            for part, array in (("weight", w), ("scales", scales), ("biases", biases)):
                tensors[f"{module}.{part}"] = to_torch(array)
            kind = "int4" if n <= 4 else "int8"
            matrices[module] = (np.array(values), kind)
        entry = {"group_size": 64, "bits": bits, "mode": "affine", "own": {"group_size": 32, "bits": 8}}
        config = {"quantization": entry}
        if bits != 4:
            config["quantization_config"] = entry
        add(f"mlx{bits}", config, tensors, matrices)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--gptqmodel", required=True)
    options = parser.parse_args()
    OUT.mkdir(exist_ok=True)
    for old in OUT.glob("*.safetensors"):
        old.unlink()
    compressed_tensors()
    fp8()
    awq()
    gptq(options.gptqmodel)
    mlx()
    (OUT / "golden.json").write_text(json.dumps(GOLDEN, indent=1) + "\n")


main()
