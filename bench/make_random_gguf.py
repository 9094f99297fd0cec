#!/usr/bin/env python3
"""Writes a BF16 GGUF with random weights from a Qwen3 config.json, so that llama.cpp can run the same
shapes as `qwen3 bench --random-weights`. Needs: pip install gguf numpy.

    bench/make_random_gguf.py bench/configs/qwen3-0.6b/config.json OUT.gguf
"""
import json
import sys

import gguf
import numpy as np

config = json.load(open(sys.argv[1]))
moe = config["model_type"] == "qwen3_moe"
hidden, layers, head_dim = config["hidden_size"], config["num_hidden_layers"], config["head_dim"]
q = config["num_attention_heads"] * head_dim
kv = config["num_key_value_heads"] * head_dim

out = gguf.GGUFWriter(sys.argv[2], "qwen3moe" if moe else "qwen3")
out.add_block_count(layers)
out.add_context_length(config["max_position_embeddings"])
out.add_embedding_length(hidden)
out.add_feed_forward_length(config["intermediate_size"])
out.add_head_count(config["num_attention_heads"])
out.add_head_count_kv(config["num_key_value_heads"])
out.add_key_length(head_dim)
out.add_value_length(head_dim)
out.add_layer_norm_rms_eps(config["rms_norm_eps"])
out.add_rope_freq_base(config["rope_theta"])
out.add_vocab_size(config["vocab_size"])
out.add_tokenizer_model("no_vocab")
out.add_file_type(32)  # mostly BF16
if moe:
    out.add_expert_count(config["num_experts"])
    out.add_expert_used_count(config["num_experts_per_tok"])
    out.add_expert_feed_forward_length(config["moe_intermediate_size"])

rng = np.random.default_rng(0)


def matrix(name, *shape):
    values = rng.standard_normal(shape, dtype=np.float32) * np.float32(0.02)
    bf16 = (values.view(np.uint32) >> 16).astype(np.uint16)
    out.add_tensor(name, bf16.view(np.uint8), raw_dtype=gguf.GGMLQuantizationType.BF16)


def norm(name, size):
    out.add_tensor(name, np.ones(size, dtype=np.float32))


matrix("token_embd.weight", config["vocab_size"], hidden)
norm("output_norm.weight", hidden)
if not config["tie_word_embeddings"]:
    matrix("output.weight", config["vocab_size"], hidden)
for i in range(layers):
    block = f"blk.{i}."
    norm(block + "attn_norm.weight", hidden)
    norm(block + "ffn_norm.weight", hidden)
    norm(block + "attn_q_norm.weight", head_dim)
    norm(block + "attn_k_norm.weight", head_dim)
    matrix(block + "attn_q.weight", q, hidden)
    matrix(block + "attn_k.weight", kv, hidden)
    matrix(block + "attn_v.weight", kv, hidden)
    matrix(block + "attn_output.weight", hidden, q)
    if moe:
        experts, inner = config["num_experts"], config["moe_intermediate_size"]
        out.add_tensor(block + "ffn_gate_inp.weight",
                       rng.standard_normal((experts, hidden), dtype=np.float32) * np.float32(0.02))
        matrix(block + "ffn_gate_exps.weight", experts, inner, hidden)
        matrix(block + "ffn_up_exps.weight", experts, inner, hidden)
        matrix(block + "ffn_down_exps.weight", experts, hidden, inner)
    else:
        inner = config["intermediate_size"]
        matrix(block + "ffn_gate.weight", inner, hidden)
        matrix(block + "ffn_up.weight", inner, hidden)
        matrix(block + "ffn_down.weight", hidden, inner)
out.write_header_to_file()
out.write_kv_data_to_file()
out.write_tensors_to_file()
out.close()
