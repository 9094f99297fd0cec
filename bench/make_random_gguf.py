#!/usr/bin/env python3
"""Writes a GGUF file of a config's shapes with random weights: the same file for every program that is timed.

    make_random_gguf.py bench/configs/qwen3-0.6b Q4_K_M out.gguf [--layers N]

Blocks are random bytes whose scales make weights of about 0.02; tensors get the types that llama-quantize gives
them in that mix (Q8_0, Q6_K, Q5_K_M, Q4_K_M, Q4_0, BF16). A tensor is a piece of one stock of blocks of its type,
each from another place, so that 60 GB take as long as it takes to write them. The vocabulary is placeholders.
Needs gguf and numpy.
"""
import argparse
import json
import pathlib

import gguf
import numpy as np
from gguf import GGMLQuantizationType as T

# Where the float16 fields lie in a block (ggml-common.h), and what one scale is multiplied with, about.
HALVES = {T.Q4_0: [0], T.Q8_0: [0], T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208]}
SIZES = {T.Q4_0: 5, T.Q8_0: 74, T.Q4_K: 150, T.Q5_K: 300, T.Q6_K: 1200}
# Base type, type of the head (of the table when tied), type of attn_v and ffn_down where more() says so.
MIXES = {"BF16": (T.BF16, T.BF16, T.BF16), "Q8_0": (T.Q8_0, T.Q8_0, T.Q8_0), "Q6_K": (T.Q6_K, T.Q6_K, T.Q6_K),
         "Q5_K_M": (T.Q5_K, T.Q6_K, T.Q6_K), "Q4_K_M": (T.Q4_K, T.Q6_K, T.Q6_K), "Q4_0": (T.Q4_0, T.Q6_K, T.Q4_0)}


class Blocks:
    """One stock of random blocks a type, as long as the largest tensor and some; tensors are views of it."""
    SPARE = 1_000_003  # numbers: where a tensor may begin

    def __init__(self, rng, largest):
        self.rng, self.largest, self.stocks = rng, largest, {}

    def stock(self, kind):
        elements, size = gguf.GGML_QUANT_SIZES[kind]
        n = self.largest // elements + self.SPARE // elements
        if kind == T.BF16:
            # A prime number of numbers, repeated: no two rows of a matrix are equal.
            numbers = self.rng.normal(0, 0.02, self.SPARE).astype(np.float32)
            return np.resize((numbers.view(np.uint32) >> 16).astype(np.uint16), n).view(np.uint8).reshape(n, 2)
        blocks = np.frombuffer(self.rng.bytes(n * size), np.uint8).reshape(n, size).copy()
        scale = np.frombuffer(np.float16(0.02 / SIZES[kind]).tobytes(), np.uint8)
        for at in HALVES[kind]:
            blocks[:, at:at + 2] = scale
        return blocks

    def take(self, shape, kind):
        if kind not in self.stocks:
            self.stocks[kind] = self.stock(kind)
        elements, size = gguf.GGML_QUANT_SIZES[kind]
        n = int(np.prod(shape)) // elements
        begin = self.rng.integers(len(self.stocks[kind]) - n + 1)
        return self.stocks[kind][begin:begin + n].reshape(*shape[:-1], shape[-1] // elements * size)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=pathlib.Path)
    parser.add_argument("mix", choices=MIXES)
    parser.add_argument("out")
    parser.add_argument("--layers", type=int)
    args = parser.parse_args()
    c = json.loads((args.config / "config.json").read_text())
    base, head, better = MIXES[args.mix]
    n_layers = args.layers or c["num_hidden_layers"]
    experts = c.get("num_experts", 0)
    rng = np.random.default_rng(0)
    w = gguf.GGUFWriter(args.out, "qwen3moe" if experts else "qwen3")
    w.add_block_count(n_layers)
    w.add_context_length(c["max_position_embeddings"])
    w.add_embedding_length(c["hidden_size"])
    w.add_feed_forward_length(c["intermediate_size"])
    w.add_head_count(c["num_attention_heads"])
    w.add_head_count_kv(c["num_key_value_heads"])
    w.add_key_length(c["head_dim"])
    w.add_value_length(c["head_dim"])
    w.add_layer_norm_rms_eps(c["rms_norm_eps"])
    w.add_rope_freq_base(c.get("rope_theta", 1e6))
    if experts:
        w.add_expert_count(experts)
        w.add_expert_used_count(c["num_experts_per_tok"])
        w.add_expert_feed_forward_length(c["moe_intermediate_size"])
    vocabulary = c["vocab_size"]
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("qwen2")
    # One token for each byte, so that any text has ids; the rest are placeholders.
    letters = [chr(i) for i in range(33, 127)] + [chr(i) for i in range(161, 173)] + \
        [chr(i) for i in range(174, 256)] + [chr(256 + i) for i in range(68)]
    letters.append("!!")
    w.add_token_list(letters + [f"[PAD{i}]" for i in range(len(letters), vocabulary - 1)] + ["<|im_end|>"])
    w.add_token_types([1] * len(letters) + [5] * (vocabulary - 1 - len(letters)) + [3])
    w.add_token_merges(["! !"])
    w.add_eos_token_id(vocabulary - 1)

    hidden, dim = c["hidden_size"], c["head_dim"]
    inner = c["moe_intermediate_size"] if experts else c["intermediate_size"]
    blocks = Blocks(rng, max(vocabulary, max(experts, 1) * inner) * hidden)

    def matrix(name, shape, kind):
        w.add_tensor(name, blocks.take(shape, kind), raw_dtype=kind)

    def vector(name, n):
        w.add_tensor(name, np.ones(n, np.float32))

    q, kv = c["num_attention_heads"] * dim, c["num_key_value_heads"] * dim
    tied = c.get("tie_word_embeddings", False)
    matrix("token_embd.weight", (vocabulary, hidden), head if tied else base)
    for i in range(n_layers):
        n = n_layers
        more = i < n // 8 or i >= 7 * n // 8 or (i - n // 8) % 3 == 2
        b = f"blk.{i}."
        vector(b + "attn_norm.weight", hidden)
        matrix(b + "attn_q.weight", (q, hidden), base)
        matrix(b + "attn_k.weight", (kv, hidden), base)
        matrix(b + "attn_v.weight", (kv, hidden), better if more else base)
        matrix(b + "attn_output.weight", (hidden, q), base)
        vector(b + "attn_q_norm.weight", dim)
        vector(b + "attn_k_norm.weight", dim)
        vector(b + "ffn_norm.weight", hidden)
        if experts:
            w.add_tensor(b + "ffn_gate_inp.weight", rng.normal(0, 0.02, (experts, hidden)).astype(np.float32))
            matrix(b + "ffn_gate_exps.weight", (experts, inner, hidden), base)
            matrix(b + "ffn_up_exps.weight", (experts, inner, hidden), base)
            matrix(b + "ffn_down_exps.weight", (experts, hidden, inner), better if more else base)
        else:
            matrix(b + "ffn_gate.weight", (inner, hidden), base)
            matrix(b + "ffn_up.weight", (inner, hidden), base)
            matrix(b + "ffn_down.weight", (hidden, inner), better if more else base)
    vector("output_norm.weight", hidden)
    if not tied:
        matrix("output.weight", (vocabulary, hidden), head)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


if __name__ == "__main__":
    main()
