"""How numbers of weights, keys and values are kept, and the bytes that takes.

TYPES repeats what src/tensor/weight.h (files), src/kernels/cpu/block_layout.h (panels of 16 outputs) and
src/kernels/cuda/layout.h (tiles of 16 by 16) say; tests/scale/formats_test.py holds it to them.
"""
import dataclasses

from . import Refused

SIDES = ("cpu", "cuda")


def ceil_div(a, b):
    return -(-a // b)


def round_up(n, unit):
    return ceil_div(n, unit) * unit


@dataclasses.dataclass(frozen=True)
class Type:
    """In files `bytes` hold `elements`. On processors a panel has `head_bytes` for each `head_inputs` inputs and
    `code_bytes` for each 32; on cards a tile of 16 x 16 has `tile_bytes` (0: it becomes bfloat16 there)."""

    elements: int
    bytes: int
    head_inputs: int = 0
    head_bytes: int = 0
    code_bytes: int = 0
    tile_bytes: int = 0

    @property
    def plain(self):
        return self.elements == 1

    def file_bytes(self, numel):
        return numel // self.elements * self.bytes

    def matrix_bytes(self, side, n_out, n_in):
        """Of one matrix in memory, padding included."""
        if n_out == 0 or n_in == 0:
            return 0
        if side == "cuda":
            return self.card_bytes(n_out, n_in)
        if self.plain:
            return round_up(n_out, 16) * (n_in if self.bytes == 4 else round_up(n_in, 2)) * self.bytes
        heads = round_up(n_in // self.head_inputs * self.head_bytes, 64)
        return ceil_div(n_out, 16) * (heads + n_in // 32 * self.code_bytes)

    def card_bytes(self, n_out, n_in):
        if self.plain and self != TYPES["bf16"]:
            return round_up(n_out * n_in * 4, 64)  # float32, which float16 becomes
        tile = self.tile_bytes if n_in % 32 == 0 else 0
        if tile == 0 and n_in % 16 != 0:
            return round_up(n_out * n_in * 2, 64)
        return ceil_div(n_out, 16) * (n_in // 16) * (tile or 512)

    def in_codes(self, side):
        return not self.plain and (side == "cpu" or self.tile_bytes > 0)


TYPES = {
    "f32": Type(1, 4),
    "bf16": Type(1, 2, tile_bytes=512),
    "f16": Type(1, 2),
    "q4_0": Type(32, 18, 32, 32, 256, 160),
    "q4_1": Type(32, 20, 32, 64, 256, 160),
    "q5_0": Type(32, 22, 32, 32, 320, 320),
    "q5_1": Type(32, 24, 32, 64, 320, 320),
    "q8_0": Type(32, 34, 32, 32, 512, 320),
    "q2_k": Type(256, 84, 256, 320, 128),
    "q3_k": Type(256, 110, 256, 320, 192, 320),
    "q4_k": Type(256, 144, 256, 320, 256, 160),
    "q5_k": Type(256, 176, 256, 320, 320, 320),
    "q6_k": Type(256, 210, 256, 320, 384, 320),
    "iq4_nl": Type(32, 18, 32, 32, 256),
    "iq4_xs": Type(256, 136, 256, 160, 256),
    "mxfp4": Type(32, 17, 32, 16, 256),
    "affine4": Type(32, 28, 32, 128, 256, 160),
    "affine8": Type(32, 44, 32, 128, 512, 320),
    "fp8": Type(32, 36, 32, 64, 512, 320),
    "fp8_128": Type(128, 132, 128, 64, 512, 320),
}

# GGUF mixes, as src/quantize/mix.cpp: of most matrices, of the head (tied: the table), of attn_v and down_proj of some layers.
MIXES = {
    "q8_0": ("q8_0", "q8_0", None),
    "q6_k": ("q6_k", "q6_k", None),
    "q5_k_m": ("q5_k", "q6_k", "q6_k"),
    "q4_k_m": ("q4_k", "q6_k", "q6_k"),
    "q4_0": ("q4_0", "q6_k", None),
}
# Checkpoints whose linear layers alone are in codes: the table, the head and the router stay bfloat16.
LINEAR_ONLY = {"fp8": "fp8_128", "int4": "affine4", "int8": "affine8"}
SMALLER = {"q4_k": "q5_0", "q5_k": "q5_1", "q6_k": "q8_0"}
NAMES = ["bf16", "f16", "f32", *LINEAR_ONLY, *MIXES,
         *(name for name in TYPES if not TYPES[name].plain and name not in MIXES and not name.startswith(("affine", "fp8")))]

KV_BYTES = {"bf16": 2, "f32": 4, "q8": 1}
OTHER_NAMES = {"bfloat16": "bf16", "float16": "f16", "float32": "f32", "fp16": "f16", "fp32": "f32"}


def weights_named(name):
    low = OTHER_NAMES.get(name.lower(), name.lower())
    if low not in NAMES:
        raise Refused(f"--weights: expected one of {', '.join(NAMES)}; got {name[:60]!r}")
    return low


def kv_named(name):
    low = OTHER_NAMES.get(name.lower(), name.lower())
    if low not in KV_BYTES:
        raise Refused(f"--kv-dtype: expected one of {', '.join(KV_BYTES)}; got {name[:60]!r}")
    return low


def gets_more_bits(layer, n_layers):
    eighth = n_layers // 8
    return layer < eighth or layer >= 7 * n_layers // 8 or (layer - eighth) % 3 == 2


def whole_blocks(name, n_in):
    """`name`, or what GGUF takes where rows are no whole blocks of it."""
    for candidate in (name, SMALLER.get(name, "f16")):
        if n_in % TYPES[candidate].elements == 0:
            return candidate
    return "f16"


def type_name(weights, matrix, layer, model):
    """Of a matrix of a model with such weights; `layer` is None outside of the layers."""
    if weights in ("bf16", "f16", "f32"):
        return weights
    if weights in LINEAR_ONLY:
        if layer is None or matrix.role == "router":
            return "bf16"
        if weights == "fp8" and matrix.n_in % 128 != 0:
            return whole_blocks("fp8", matrix.n_in)
        return whole_blocks(LINEAR_ONLY[weights], matrix.n_in)
    if matrix.role == "router":
        return "f32"
    base, head, more = MIXES.get(weights, (weights, weights, None))
    if matrix.role == "lm_head" or (matrix.role == "embed_tokens" and model.tied):
        base = head
    if more and matrix.role in ("v_proj", "down_proj") and gets_more_bits(layer, model.num_hidden_layers):
        base = more
    return whole_blocks(base, matrix.n_in)


def file_bytes(model, weights):
    """Of the tensors of a file: what a checkpoint or a GGUF file takes but for its header."""
    total = 4 * model.hidden_size
    for i in range(model.num_hidden_layers):
        total += 4 * sum(model.layer_vectors())
        total += sum(TYPES[type_name(weights, m, i, model)].file_bytes(m.numel) for m in model.layer(i))
    for matrix in [model.embedding()] + ([] if model.tied else [model.head()]):
        total += TYPES[type_name(weights, matrix, None, model)].file_bytes(matrix.numel)
    return total


def kv_head_bytes(kv, side, head_dim):
    """Keys of one head of one token (its values take as much)."""
    if kv == "q8":
        if side == "cuda":
            raise Refused("--kv-dtype: q8 is for processors; cards keep keys and values in bf16")
        return round_up(head_dim, 16) + 4
    if side == "cuda" and kv != "bf16":
        raise Refused("--kv-dtype: cards keep keys and values in bf16")
    return round_up(head_dim, 32 if side == "cuda" else 16) * KV_BYTES[kv]
