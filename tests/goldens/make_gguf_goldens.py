#!/usr/bin/env python3
"""Makes tests/data/gguf/: two tiny Qwen3 models as the `gguf` package writes and reads them.

Every type of block that this program reads occurs in one of them. Blocks are random bytes with
scales of a sensible size; their values are what gguf-py's own dequantize says. golden.json has, of
each tensor by its Hugging Face name, type, shape and the SHA-256 of its float32 values. Run with
gguf 0.19.0 and numpy:

    make_gguf_goldens.py tests/data/gguf
"""
import hashlib
import json
import pathlib
import sys

import gguf
import numpy as np
from gguf import GGMLQuantizationType as T

# Where the float16 fields lie in a block (ggml-common.h).
HALVES = {T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q8_0: [0], T.Q2_K: [80, 82],
          T.Q3_K: [108], T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208], T.IQ4_NL: [0], T.IQ4_XS: [0]}
# What one such scale is multiplied with, about.
SIZES = {T.Q4_0: 8, T.Q4_1: 8, T.Q5_0: 16, T.Q5_1: 16, T.Q8_0: 100, T.Q2_K: 20, T.Q3_K: 60, T.Q4_K: 300,
         T.Q5_K: 600, T.Q6_K: 2000, T.IQ4_NL: 100, T.IQ4_XS: 2000}
SIZE = 0.08  # of a weight


def make(rng, shape, kind):
    """The tensor's bytes and its float32 values."""
    if kind in (T.F32, T.F16, T.BF16):
        values = rng.normal(0, SIZE, shape).astype(np.float32)
        if len(shape) == 1:
            values = 1 + values
        raw = gguf.quants.quantize(values, kind)
        return raw, gguf.quants.dequantize(raw, kind)
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    n_blocks = int(np.prod(shape)) // elements
    blocks = rng.integers(0, 256, (n_blocks, size), dtype=np.uint8)
    for at in HALVES.get(kind, []):
        scale = rng.uniform(0.5, 1.5, n_blocks) * SIZE / SIZES[kind]
        blocks[:, at:at + 2] = scale.astype(np.float16).view(np.uint8).reshape(n_blocks, 2)
    if kind == T.MXFP4:
        blocks[:, 0] = rng.integers(120, 124, n_blocks)
    raw = blocks.reshape(*shape[:-1], shape[-1] // elements * size)
    return raw, gguf.quants.dequantize(raw, kind)


def byte_letters():
    """GPT-2's letters of the bytes."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in plain]
    return {**{b: chr(b) for b in plain}, **{b: chr(256 + i) for i, b in enumerate(others)}}


def add_tokenizer(writer, vocab_size):
    letters = byte_letters()
    merges = ["t h", "th e", "Ġ the", "i n"]
    tokens = [letters[b] for b in range(256)] + [merge.replace(" ", "") for merge in merges]
    types = [1] * len(tokens)
    for text, kind in (("<|endoftext|>", 3), ("<|im_start|>", 3), ("<|im_end|>", 3), ("<|fim_prefix|>", 3),
                       ("<think>", 4), ("</think>", 4)):
        tokens.append(text)
        types.append(kind)
    while len(tokens) < vocab_size:
        types.append(5)
        tokens.append(f"[PAD{len(tokens)}]")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(tokens.index("<|endoftext|>"))
    writer.add_eos_token_id(tokens.index("<|im_end|>"))
    writer.add_add_bos_token(False)
    writer.add_chat_template("{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
                             "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")


def add_sizes(writer, c):
    writer.add_block_count(c["layers"])
    writer.add_context_length(128)
    writer.add_embedding_length(c["hidden"])
    writer.add_feed_forward_length(c["inner"])
    writer.add_head_count(c["heads"])
    writer.add_head_count_kv(c["kv_heads"])
    writer.add_key_length(c["head_dim"])
    writer.add_value_length(c["head_dim"])
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(1e6)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_K_M)
    writer.add_quantization_version(2)
    writer.add_sampling_temp(0.6)
    writer.add_sampling_top_k(20)
    writer.add_sampling_top_p(0.95)
    if "experts" in c:
        writer.add_expert_count(c["experts"])
        writer.add_expert_used_count(2)
        writer.add_expert_feed_forward_length(c["expert_inner"])


def write(path, arch, c, tensors, rng, **split):
    """The tensors' facts by Hugging Face name."""
    writer = gguf.GGUFWriter(str(path), arch, **split)
    add_sizes(writer, c)
    add_tokenizer(writer, c["vocab"])
    facts = {}
    for name, hf, shape, kind in tensors:
        raw, values = make(rng, shape, kind)
        if kind in (T.F32, T.F16):
            writer.add_tensor(name, raw)
        else:
            writer.add_tensor(name, raw, raw_dtype=kind)
        assert values.dtype == np.float32 and values.shape == tuple(shape), (name, values.shape)
        facts[hf] = {"type": kind.name, "shape": list(shape),
                     "sha256": hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()}
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return facts


def layer(i, c, kinds):
    """One layer's tensors but its MLP; `kinds` of q, k, v, o."""
    g, h = f"blk.{i}.", f"model.layers.{i}."
    heads, kv, hidden = c["heads"] * c["head_dim"], c["kv_heads"] * c["head_dim"], c["hidden"]
    q, k, v, o = kinds
    return [(g + "attn_norm.weight", h + "input_layernorm.weight", (hidden,), T.F32),
            (g + "attn_q.weight", h + "self_attn.q_proj.weight", (heads, hidden), q),
            (g + "attn_k.weight", h + "self_attn.k_proj.weight", (kv, hidden), k),
            (g + "attn_v.weight", h + "self_attn.v_proj.weight", (kv, hidden), v),
            (g + "attn_output.weight", h + "self_attn.o_proj.weight", (hidden, heads), o),
            (g + "attn_q_norm.weight", h + "self_attn.q_norm.weight", (c["head_dim"],), T.F32),
            (g + "attn_k_norm.weight", h + "self_attn.k_norm.weight", (c["head_dim"],), T.F32),
            (g + "ffn_norm.weight", h + "post_attention_layernorm.weight", (hidden,), T.F32)]


def mlp(i, c, kinds):
    g, h, inner, hidden = f"blk.{i}.ffn_", f"model.layers.{i}.mlp.", c["inner"], c["hidden"]
    return [(g + "gate.weight", h + "gate_proj.weight", (inner, hidden), kinds[0]),
            (g + "up.weight", h + "up_proj.weight", (inner, hidden), kinds[1]),
            (g + "down.weight", h + "down_proj.weight", (hidden, inner), kinds[2])]


def experts(i, c, kinds):
    g, h = f"blk.{i}.ffn_", f"model.layers.{i}.mlp."
    n, inner, hidden = c["experts"], c["expert_inner"], c["hidden"]
    return [(g + "gate_inp.weight", h + "gate.weight", (n, hidden), T.F32),
            (g + "gate_exps.weight", h + "experts.gate_proj.weight", (n, inner, hidden), kinds[0]),
            (g + "up_exps.weight", h + "experts.up_proj.weight", (n, inner, hidden), kinds[1]),
            (g + "down_exps.weight", h + "experts.down_proj.weight", (n, hidden, inner), kinds[2])]


def ends(c, embedding, head=None):
    shape = (c["vocab"], c["hidden"])
    first = [("token_embd.weight", "model.embed_tokens.weight", shape, embedding),
             ("output_norm.weight", "model.norm.weight", (c["hidden"],), T.F32)]
    return first + ([("output.weight", "lm_head.weight", shape, head)] if head is not None else [])


def main():
    out = pathlib.Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(3)
    dense = {"layers": 2, "hidden": 256, "inner": 32, "heads": 2, "kv_heads": 1, "head_dim": 32, "vocab": 270}
    moe = {"layers": 2, "hidden": 64, "inner": 96, "heads": 4, "kv_heads": 2, "head_dim": 16, "vocab": 270,
           "experts": 4, "expert_inner": 32}
    tied = ends(dense, T.Q6_K) + layer(0, dense, (T.Q4_K, T.Q5_K, T.Q6_K, T.Q5_0)) + \
        mlp(0, dense, (T.Q3_K, T.Q2_K, T.Q4_1)) + layer(1, dense, (T.IQ4_XS, T.Q4_K, T.Q3_K, T.Q4_0)) + \
        mlp(1, dense, (T.Q2_K, T.Q4_K, T.IQ4_NL))
    sparse = ends(moe, T.Q8_0, T.Q4_0) + layer(0, moe, (T.Q5_1, T.BF16, T.F32, T.Q8_0)) + \
        experts(0, moe, (T.Q4_0, T.Q5_1, T.IQ4_NL)) + layer(1, moe, (T.Q4_1, T.F16, T.Q5_0, T.BF16)) + \
        experts(1, moe, (T.MXFP4, T.MXFP4, T.Q8_0))
    golden = {"made_with": {"gguf": "0.19.0", "numpy": np.__version__},
              "dense": write(out / "dense.gguf", "qwen3", dense, tied, rng),
              # As gguf-split does it: the first part has all metadata.
              "moe": write(out / "moe.gguf", "qwen3moe", moe, sparse, rng, split_max_tensors=13)}
    (out / "golden.json").write_text(json.dumps(golden, indent=1) + "\n")
    for path in sorted(out.iterdir()):
        print(path.name, path.stat().st_size)


if __name__ == "__main__":
    main()
