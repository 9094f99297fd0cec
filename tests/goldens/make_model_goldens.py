"""Makes tests/data/models: tiny Qwen3 checkpoints and what transformers computes from them.

    python tests/goldens/make_model_goldens.py        (torch 2.13.x CPU, transformers 5.24.x)

Each directory is a real Hugging Face checkpoint (config.json, generation_config.json, weights) plus
  golden.json         prompt, labels, losses, greedy continuations
  golden.safetensors  float32 `logits` of the prompt; for the models of FULL_TAPS every tap, for
                      dense_after_rope those of attention
Directories that differ from another one only in config.json link to its files, so that a variant
costs its config and its answers. Shapes are odd on purpose: n_heads * head_dim != hidden_size,
grouped queries, 130 experts, a vocabulary that is no multiple of 16, norm weights far from 1.
"""

import json
import math
import os
import pathlib
import shutil

import torch
from safetensors.torch import load_file, save_file
from transformers import Qwen3Config, Qwen3ForCausalLM, Qwen3MoeConfig, Qwen3MoeForCausalLM
from transformers.models.qwen3.modeling_qwen3 import Qwen3RotaryEmbedding
from transformers.models.qwen3_moe.modeling_qwen3_moe import Qwen3MoeSparseMoeBlock

import model_oracle as oracle

ROOT = pathlib.Path(__file__).resolve().parent.parent / "data" / "models"
N_PROMPT, N_NEW = 17, 40
MIN_LOGIT_GAP, MIN_ROUTER_GAP, MIN_DISTINCT = 1e-3, 1e-3, 6
FULL_TAPS = ("dense", "moe")

# The spelling of the official files (transformers 4.51), number formats included.
DENSE = {
    "architectures": ["Qwen3ForCausalLM"], "attention_bias": False, "attention_dropout": 0.0,
    "bos_token_id": 1, "eos_token_id": 2, "head_dim": 12, "hidden_act": "silu", "hidden_size": 40,
    "initializer_range": 0.02, "intermediate_size": 56, "max_position_embeddings": 128,
    "max_window_layers": 2, "model_type": "qwen3", "num_attention_heads": 6, "num_hidden_layers": 2,
    "num_key_value_heads": 2, "rms_norm_eps": 1e-06, "rope_scaling": None, "rope_theta": 1000000,
    "sliding_window": None, "tie_word_embeddings": False, "torch_dtype": "float32",
    "transformers_version": "4.51.0", "use_cache": True, "use_sliding_window": False,
    "vocab_size": 300,
}
SMALL_DENSE = DENSE | {"hidden_size": 24, "head_dim": 16, "num_attention_heads": 4,
                       "intermediate_size": 28, "vocab_size": 70, "rope_theta": 1000000.0,
                       "torch_dtype": "bfloat16"}
MOE = DENSE | {
    "architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", "hidden_size": 24,
    "head_dim": 16, "num_attention_heads": 4, "num_key_value_heads": 1, "intermediate_size": 28,
    "vocab_size": 128, "torch_dtype": "bfloat16", "rope_theta": 1000000.0, "decoder_sparse_step": 1,
    "mlp_only_layers": [0], "moe_intermediate_size": 8, "norm_topk_prob": True, "num_experts": 130,
    "num_experts_per_tok": 8, "output_router_logits": False, "router_aux_loss_coef": 0.01,
}
SMALL_MOE = MOE | {"num_hidden_layers": 3, "mlp_only_layers": [1], "num_experts": 11,
                   "num_experts_per_tok": 3, "vocab_size": 70}


def yarn(**more):
    return {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32} | more


# name: (config, where the weights come from: a seed, or the directory to link to)
VARIANTS = {
    "dense": (DENSE, 1),
    "dense_after_rope": (DENSE | {"qk_norm_order": "after_rope"}, "dense"),
    "dense_yarn": (DENSE | {"rope_theta": 10000.0, "rope_scaling": yarn()}, "dense"),
    "dense_yarn_mscale": (DENSE | {"rope_theta": 10000.0, "rope_scaling": yarn(
        mscale=1.2, mscale_all_dim=0.8, truncate=False, beta_fast=4.0, beta_slow=0.25)}, "dense"),
    "dense_rope_linear": (DENSE | {"rope_scaling": {"type": "linear", "factor": 2.0}}, "dense"),
    "dense_sliding": (DENSE | {"use_sliding_window": True, "sliding_window": 5,
                               "max_window_layers": 1}, "dense"),
    "dense_theta_1e4": (DENSE | {"rope_theta": 10000}, "dense"),
    # Unknown keys, null lists, integer zeros and a list of stop ids, as found in the field.
    "dense_tied": (SMALL_DENSE | {"tie_word_embeddings": True, "eos_token_id": [2, 3],
                                  "attention_dropout": 0, "qkv_bias": False, "use_qk_norm": True,
                                  "rms_norm_eps": 0.000001}, 2),
    "dense_bias": (SMALL_DENSE | {"attention_bias": True, "torch_dtype": "float32"}, 3),
    "dense_bf16": (SMALL_DENSE, 4),
    "dense_f16": (SMALL_DENSE | {"torch_dtype": "float16"}, 5),
    "dense_no_prefix": (SMALL_DENSE | {"vocab_size": 67, "tie_word_embeddings": True}, 6),
    "dense_sharded": (SMALL_DENSE | {"rms_norm_eps": 1e-3}, 7),
    "moe": (MOE, 11),
    "moe_small": (SMALL_MOE, 12),
    "moe_norm_topk_false": (SMALL_MOE | {"norm_topk_prob": False}, "moe_small"),
    # The mixture-of-experts class slides in every layer, whatever max_window_layers says.
    "moe_sliding": (SMALL_MOE | {"use_sliding_window": True, "sliding_window": 5}, "moe_small"),
    "moe_sparse_step": (SMALL_MOE | {"mlp_only_layers": [], "decoder_sparse_step": 2}, 13),
}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
GENERATION = {"bos_token_id": 1, "do_sample": True, "eos_token_id": [2, 1], "pad_token_id": 1,
              "temperature": 0.6, "top_k": 20, "top_p": 0.95, "transformers_version": "4.51.0"}


def build(config):
    if config["model_type"] == "qwen3":
        return Qwen3ForCausalLM(Qwen3Config(**config))
    return Qwen3MoeForCausalLM(Qwen3MoeConfig(**config))


@torch.no_grad()
def randomise(model, seed):
    """Weights large enough that attention attends, routers decide and argmax has no near ties."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in sorted(model.named_parameters()):
        noise = torch.randn(tensor.shape, generator=generator)
        if name.endswith("norm.weight") or "layernorm" in name:
            tensor.copy_(1 + 0.4 * noise)
        elif name.endswith("bias"):
            tensor.copy_(0.5 * noise)
        elif "embed_tokens" in name:  # a tied head must not simply repeat its input
            tensor.copy_(noise * (0.1 if model.config.tie_word_embeddings else 1))
        else:
            tensor.copy_(noise * (1.5 / math.sqrt(tensor.shape[-1])))


def official_tensors(model, config):
    """The state as the official files store it: one matrix per expert, stored dtype."""
    dtype, tensors = DTYPES[config["torch_dtype"]], {}
    for name, tensor in model.state_dict().items():
        if name.endswith("experts.gate_up_proj"):
            gate, up = tensor.chunk(2, dim=1)
            parts = {"gate_proj": gate, "up_proj": up}
        elif name.endswith("experts.down_proj"):
            parts = {"down_proj": tensor}
        else:
            tensors[name] = tensor.to(dtype).contiguous().clone()
            continue
        for part, matrices in parts.items():
            for expert, matrix in enumerate(matrices):
                key = f"{name.rsplit('.', 1)[0]}.{expert}.{part}.weight"
                tensors[key] = matrix.to(dtype).contiguous().clone()
    return tensors


def write_weights(directory, name, tensors):
    if name == "dense_tied":  # Qwen3-0.6B stores a copy, larger tied models do not: dense_no_prefix is tied without one
        assert torch.equal(tensors["lm_head.weight"], tensors["model.embed_tokens.weight"])
    if name == "dense_no_prefix":  # as the embedding checkpoints are written: no head either
        tensors = {key.removeprefix("model."): value for key, value in tensors.items()
                   if key != "lm_head.weight"}
    if name != "dense_sharded":
        save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
        return
    files = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    shards = {file: {} for file in files}
    for i, key in enumerate(sorted(tensors)):
        shards[files[i % 2]][key] = tensors[key]
    for file, part in shards.items():
        save_file(part, directory / file, metadata={"format": "pt"})
    write_json(directory / "model.safetensors.index.json", {
        "metadata": {"total_size": sum(t.numel() * t.element_size() for t in tensors.values())},
        "weight_map": {key: file for file, part in shards.items() for key in part}})


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2) + "\n")


def write_checkpoint(name, config, source):
    directory = ROOT / name
    directory.mkdir(parents=True)
    write_json(directory / "config.json", config)
    write_json(directory / "generation_config.json", GENERATION)
    if isinstance(source, str):
        os.symlink(f"../{source}/model.safetensors", directory / "model.safetensors")
        return
    model = build(config)
    randomise(model, source)
    write_weights(directory, name, official_tensors(model, config))


def link_answers(name, source):
    for file in ("golden.json", "golden.safetensors"):
        os.symlink(f"../{source}/{file}", ROOT / name / file)


def resave_config(name, source):
    """The same checkpoint after transformers 5 has saved it: its own spelling of config.json."""
    directory = ROOT / name
    model = oracle.load(ROOT / source)
    model.config.save_pretrained(directory)
    shutil.copy(ROOT / source / "generation_config.json", directory)
    os.symlink(f"../{source}/model.safetensors", directory / "model.safetensors")
    link_answers(name, source)


def fuse_experts(name, source):
    """The same weights with transformers 5's fused expert tensors on disk."""
    directory = ROOT / name
    directory.mkdir()
    for file in ("config.json", "generation_config.json"):
        os.symlink(f"../{source}/{file}", directory / file)
    tensors = load_file(ROOT / source / "model.safetensors")
    fused = {key: value for key, value in tensors.items() if ".experts." not in key}
    for key in [k for k in tensors if k.endswith(".experts.0.gate_proj.weight")]:
        prefix = key.removesuffix("0.gate_proj.weight")
        n_experts = sum(k.startswith(prefix) and k.endswith("down_proj.weight") for k in tensors)
        stack = lambda part: torch.stack(
            [tensors[f"{prefix}{e}.{part}.weight"] for e in range(n_experts)])
        fused[prefix + "gate_up_proj"] = torch.cat([stack("gate_proj"), stack("up_proj")], dim=1)
        fused[prefix + "down_proj"] = stack("down_proj")
    save_file(fused, directory / "model.safetensors", metadata={"format": "pt"})
    link_answers(name, source)


def draw_prompt(generator, vocab_size, length):
    return torch.randint(4, vocab_size, (length,), generator=generator).tolist()


def greedy_cases(model, vocab_size):
    """Continuations of 1, 7 and 33 tokens: varied, and no argmax a near tie."""
    cases = []
    for length in (1, 7, 33):
        for attempt in range(100):
            generator = torch.Generator().manual_seed(1000 * length + attempt)
            prompt = draw_prompt(generator, vocab_size, length)
            ids, gap = oracle.greedy(model, prompt, N_NEW)
            if gap > MIN_LOGIT_GAP and len(set(ids)) >= MIN_DISTINCT:
                break
        else:
            raise SystemExit("make_model_goldens: no varied prompt without near ties; change the seed")
        cases.append({"prompt": prompt, "ids": ids, "smallest_logit_gap": gap})
    return cases


def keeps(name, tap):
    return name in FULL_TAPS or name == "dense_after_rope" and "self_attn" in tap


def answer(name, config):
    model = oracle.load(ROOT / name)
    for attempt in range(100):
        generator = torch.Generator().manual_seed(attempt)
        prompt = draw_prompt(generator, config["vocab_size"], N_PROMPT)
        labels = [-100 if i < 4 or i == 9 else id for i, id in enumerate(prompt)]
        mask = [0 if i < 3 else 1 for i in range(N_PROMPT)]
        losses = oracle.losses(model, prompt, labels, mask)
        if losses.get("router_gap", 1) > MIN_ROUTER_GAP:
            break
    else:
        raise SystemExit(f"make_model_goldens: {name}: no prompt without near ties in routing")
    taps = oracle.run_taps(model, prompt)
    for key, value in taps.items():
        taps[key] = value.to(torch.int32 if value.dtype == torch.int64 else torch.float32)
    kept = {key: value for key, value in taps.items() if key == "logits" or keeps(name, key)}
    save_file(kept, ROOT / name / "golden.safetensors")
    write_compact_json(ROOT / name / "golden.json", {
        "prompt": prompt, "labels": labels, "attention_mask": mask, **losses,
        "greedy": greedy_cases(model, config["vocab_size"])})


def write_compact_json(path, value):
    """One key a line: small, and still readable in a diff."""
    lines = [f"  {json.dumps(key)}: {json.dumps(item)}" for key, item in value.items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def check_same_logits(name, source):
    prompt = json.loads((ROOT / source / "golden.json").read_text())["prompt"]
    a, b = (oracle.run_taps(oracle.load(ROOT / n), prompt)["logits"] for n in (name, source))
    if not torch.equal(a, b):
        raise SystemExit(f"make_model_goldens: {name}: differs from {source} by {(a - b).abs().max()}")


# ---- the models that need no file: every weight is a formula (docs/model.md) ----

FORMULA = DENSE | {
    "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "vocab_size": 32, "rms_norm_eps": 1e-6,
    "max_position_embeddings": 64, "rope_theta": 1000000.0,
}
FORMULA_MOE = {"architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe",
               "decoder_sparse_step": 1, "mlp_only_layers": [], "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 12,
               "norm_topk_prob": True, "router_aux_loss_coef": 0.001}
FORMULA_VARIANTS = {
    "official": {},
    "qknorm_after_rope": {"qk_norm_order": "after_rope"},
    "yarn_factor4_orig8": {"max_position_embeddings": 32, "rope_scaling": {
        "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 8}},
    "sliding_window_3": {"use_sliding_window": True, "sliding_window": 3, "max_window_layers": 0},
    "norm_topk_prob_false": {"norm_topk_prob": False},
}
FORMULA_IDS = [1, 7, 3, 9, 5, 11]


def formula_names(config):
    """Official tensor names in the order in which the formula numbers them."""
    yield "model.embed_tokens.weight"
    for i in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{i}."
        yield prefix + "input_layernorm.weight"
        for part in ("q_proj", "k_proj", "v_proj", "o_proj", "q_norm", "k_norm"):
            yield f"{prefix}self_attn.{part}.weight"
        yield prefix + "post_attention_layernorm.weight"
        experts = range(config.get("num_experts", 0))
        if experts:
            yield prefix + "mlp.gate.weight"
        for block in [f"mlp.experts.{e}." for e in experts] or ["mlp."]:
            for part in ("gate_proj", "up_proj", "down_proj"):
                yield f"{prefix}{block}{part}.weight"
    yield "model.norm.weight"
    yield "lm_head.weight"


@torch.no_grad()
def formula_model(config):
    model = build(config).double().eval()
    state = official_tensors(model, {"torch_dtype": "float32"})
    for t, name in enumerate(formula_names(config)):
        i = torch.arange(state[name].numel(), dtype=torch.float64)
        values = 1 + 0.1 * torch.cos(0.5 * i + t) if "norm" in name else 0.3 * torch.sin(0.7 * i + 1.3 * t)
        state[name] = values.float().double().view(state[name].shape)
    for name, parameter in model.named_parameters():
        if ".experts." not in name:
            parameter.copy_(state[name])
            continue
        prefix, part = name.rsplit(".", 1)
        expert = lambda e, p: state[f"{prefix}.{e}.{p}_proj.weight"]
        rows = ("gate", "up") if part == "gate_up_proj" else ("down",)
        parameter.copy_(torch.stack([torch.cat([expert(e, p) for p in rows])
                                     for e in range(config["num_experts"])]))
    model.set_attn_implementation("eager")
    model.config._experts_implementation = "eager"
    return oracle.apply_qk_norm_order(model)


def formula_case(model_type, variant):
    config = FORMULA | (FORMULA_MOE if model_type == "moe" else {}) | FORMULA_VARIANTS[variant]
    model = formula_model(config)
    losses = oracle.losses(model, FORMULA_IDS, FORMULA_IDS, [1] * len(FORMULA_IDS))
    taps = oracle.run_taps(model, FORMULA_IDS)
    round_all = lambda values: [[round(v, 9) for v in row] for row in values.tolist()]
    case = {"model": model_type, "variant": variant, "config": config, "ids": FORMULA_IDS,
            **{key: round(value, 9) for key, value in losses.items()},
            "logits": round_all(taps["logits"])}
    if model_type == "moe":
        case["router_logits"] = [round_all(taps[f"layers.{i}.mlp.router_logits"]) for i in range(2)]
        case["selected_experts"] = [taps[f"layers.{i}.mlp.selected_experts"].tolist() for i in range(2)]
    return case


def write_formula_models():
    cases = [formula_case(model_type, variant) for model_type in ("dense", "moe")
             for variant in FORMULA_VARIANTS
             if model_type == "moe" or variant != "norm_topk_prob_false"]
    text = ",\n".join(json.dumps(case) for case in cases)
    (ROOT / "formula_models.json").write_text("[\n" + text + "\n]\n")


# ---- one block of experts with literal weights ----

ROUTER = [[0.5406103730201721, 0.5869042277336121], [-0.16565565764904022, 0.6495562791824341],
          [-0.15492962300777435, 0.14268755912780762], [-0.34425848722457886, 0.4152715504169464]]
BLOCK_INPUTS = {
    "one batch of three": [[[1, 1], [2, 2], [3, 3]]],
    "two batches of four": [[[1, 2], [3, 4], [5, 6], [7, 8]], [[9, 10], [11, 12], [13, 14], [15, 16]]],
    "three batches of one": [[[1, -1]], [[2, -2]], [[3, -3]]],
}


@torch.no_grad()
def write_moe_block_cases():
    """Hidden 2, 4 experts, 2 chosen. `linear_output`: every expert a 2x2 matrix of ones, so that it
    returns [x0 + x1, x0 + x1]. `swiglu_output`: transformers' own block, its experts all ones."""
    config = Qwen3MoeConfig(hidden_size=2, moe_intermediate_size=2, num_experts=4,
                            num_experts_per_tok=2, norm_topk_prob=True)
    config._experts_implementation = "eager"
    block = Qwen3MoeSparseMoeBlock(config).eval()
    block.gate.weight.copy_(torch.tensor(ROUTER))
    block.experts.gate_up_proj.fill_(1)
    block.experts.down_proj.fill_(1)
    cases = []
    for name, rows in BLOCK_INPUTS.items():
        x = torch.tensor(rows, dtype=torch.float32)
        logits, weights, experts = block.gate(x)
        tokens = x.reshape(-1, 2)
        linear = (tokens @ torch.ones(2, 2)) * weights.sum(dim=-1, keepdim=True)
        cases.append({"name": name, "x": tokens.tolist(), "router_logits": logits.tolist(),
                      "selected_experts": experts.tolist(), "routing_weights": weights.tolist(),
                      "linear_output": linear.tolist(),
                      "swiglu_output": block(x).reshape(-1, 2).tolist()})
    write_compact_json(ROOT / "moe_block.json", {"router": ROUTER, "cases": cases})


# ---- rotary frequencies, to the last bit of float32 ----

def write_rope_cases():
    """The last bit matters: at position 40,000 it moves an angle by up to 4e-3."""
    yarn_128k = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}
    cases = []
    for theta, scaling in ((1e4, None), (1e6, None), (5e6, None), (1e7, None), (1e6, yarn_128k)):
        config = Qwen3Config(head_dim=128, rope_theta=theta, rope_scaling=scaling,
                             max_position_embeddings=131072 if scaling else 40960)
        rope = Qwen3RotaryEmbedding(config)
        cases.append({"rope_theta": theta, "yarn": scaling is not None,
                      "attention_scaling": rope.attention_scaling,
                      "inv_freq": [float(f"{value:.9g}") for value in rope.inv_freq.tolist()]})
    write_compact_json(ROOT / "rope.json", {"cases": cases})


def main():
    oracle.check_versions()
    shutil.rmtree(ROOT, ignore_errors=True)
    for name, (config, source) in VARIANTS.items():
        write_checkpoint(name, config, source)
        answer(name, config)
        print(name, flush=True)
    for name, source in (("dense_v5", "dense_yarn_mscale"), ("moe_v5", "moe_small")):
        (ROOT / name).mkdir()
        resave_config(name, source)
        check_same_logits(name, source)
    fuse_experts("moe_fused", "moe_small")
    check_same_logits("moe_fused", "moe_small")
    write_formula_models()
    write_moe_block_cases()
    write_rope_cases()
    size = sum(f.stat().st_size for f in ROOT.rglob("*") if f.is_file() and not f.is_symlink())
    print(f"{ROOT}: {size} bytes")


if __name__ == "__main__":
    main()
