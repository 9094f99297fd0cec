#!/usr/bin/env python3
"""Writes a checkpoint that `qwen3 serve` loads: random BF16 weights in the shape of a config.json, with
the tokenizer and template of another directory. For measuring; its answers mean nothing.

    bench/make_random_checkpoint.py [--fp8] bench/configs/qwen3-0.6b models/nano OUT_DIRECTORY

--fp8: the linear layers as the official FP8 checkpoints have them, e4m3 in blocks of 128 x 128 with
scales in BF16; the embedding, the head and the router stay BF16.
"""
import argparse
import array
import json
import random
import shutil
from pathlib import Path

parser = argparse.ArgumentParser(description="A checkpoint of random weights, for measuring.")
parser.add_argument("--fp8", action="store_true", help="linear layers in e4m3")
parser.add_argument("source", type=Path, help="a directory with the config.json")
parser.add_argument("tokenizer", type=Path, help="a directory with the tokenizer")
parser.add_argument("target", type=Path)
arguments = parser.parse_args()
source, tokenizer, target = arguments.source, arguments.tokenizer, arguments.target
config = json.loads((source / "config.json").read_text())
hidden, head_dim = config["hidden_size"], config["head_dim"]
q, kv = config["num_attention_heads"] * head_dim, config["num_key_value_heads"] * head_dim


def mlp(prefix, width):
    return {prefix + "gate_proj": (width, hidden), prefix + "up_proj": (width, hidden),
            prefix + "down_proj": (hidden, width)}


shapes = {"model.embed_tokens": (config["vocab_size"], hidden), "model.norm": (hidden,)}
if not config["tie_word_embeddings"]:
    shapes["lm_head"] = (config["vocab_size"], hidden)
for layer in range(config["num_hidden_layers"]):
    at = f"model.layers.{layer}."
    shapes |= {at + "input_layernorm": (hidden,), at + "post_attention_layernorm": (hidden,),
               at + "self_attn.q_norm": (head_dim,), at + "self_attn.k_norm": (head_dim,),
               at + "self_attn.q_proj": (q, hidden), at + "self_attn.k_proj": (kv, hidden),
               at + "self_attn.v_proj": (kv, hidden), at + "self_attn.o_proj": (hidden, q)}
    if config.get("num_experts"):
        shapes[at + "mlp.gate"] = (config["num_experts"], hidden)
        for expert in range(config["num_experts"]):
            shapes |= mlp(f"{at}mlp.experts.{expert}.", config["moe_intermediate_size"])
    else:
        shapes |= mlp(at + "mlp.", config["intermediate_size"])

header, end = {}, 0


def add(name, dtype, shape):
    global end
    n_bytes = (1 if dtype == "F8_E4M3" else 2) * shape[0] * (shape[1] if len(shape) > 1 else 1)
    header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + n_bytes]}
    end += n_bytes


for name, shape in shapes.items():
    if arguments.fp8 and name.endswith("_proj"):
        add(name + ".weight", "F8_E4M3", shape)
        add(name + ".weight_scale_inv", "BF16", [-(-n // 128) for n in shape])
    else:
        add(name + ".weight", "BF16", shape)

# One block of random values over and over. Its length is a prime, so that no two rows of a matrix are
# the same; BF16 is the upper half of float32.
rng = random.Random(0)
values = array.array("f", (rng.gauss(0, 0.02) for _ in range(1_000_003)))
block = memoryview(array.array("H", memoryview(values).cast("B").cast("H")[1::2].tolist())).cast("B")
codes = memoryview(bytes(rng.choice((0, 128)) + rng.randrange(8, 64) for _ in range(1_000_003)))
one = array.array("H", [0x3F80])
scale = array.array("H", [0x3CA0])  # 0.0195

target.mkdir(parents=True, exist_ok=True)
text = json.dumps(header).encode()
text += b" " * (-len(text) % 8)
with open(target / "model.safetensors", "wb") as out:
    out.write(len(text).to_bytes(8, "little") + text)
    at = 0
    for name, entry in header.items():
        n_bytes = entry["data_offsets"][1] - entry["data_offsets"][0]
        if len(entry["shape"]) == 1 or name.endswith("_scale_inv"):
            out.write(((one if len(entry["shape"]) == 1 else scale) * (n_bytes // 2)).tobytes())
            continue
        source_block = codes if entry["dtype"] == "F8_E4M3" else block
        at %= len(source_block)
        while n_bytes > 0:
            piece = source_block[at:at + n_bytes]
            out.write(piece)
            n_bytes -= len(piece)
            at = (at + len(piece)) % len(source_block)
if arguments.fp8:
    config["quantization_config"] = {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic",
                                     "weight_block_size": [128, 128]}
(target / "config.json").write_text(json.dumps(config, indent=2) + "\n")
for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
    if (tokenizer / name).exists():
        shutil.copy(tokenizer / name, target)
