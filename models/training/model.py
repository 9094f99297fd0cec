"""Qwen3 and Qwen3-MoE for training: the mathematics of transformers, over packed sequences.

One flat row of tokens holds many samples; attention sees sample borders through cu_seqlens.
All experts are computed and weighted by the router (zero outside the top k): the same function as
sparse routing, and at this size the fastest one. `export` writes the official tensor names.
"""
import json
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn


def config_of(name, vocab_size=2560):
    shared = dict(
        vocab_size=vocab_size, hidden_size=256, num_hidden_layers=8, num_attention_heads=6, num_key_value_heads=2,
        head_dim=64, hidden_act="silu", rms_norm_eps=1e-6, attention_bias=False, attention_dropout=0.0,
        initializer_range=0.02, max_position_embeddings=2048, rope_scaling=None, sliding_window=None,
        use_sliding_window=False, max_window_layers=8, use_cache=True, torch_dtype="bfloat16",
        bos_token_id=vocab_size - 26, eos_token_id=vocab_size - 24, pad_token_id=vocab_size - 26,
    )
    if name == "nano":
        return dict(architectures=["Qwen3ForCausalLM"], model_type="qwen3", intermediate_size=832, rope_theta=10000.0,
                    tie_word_embeddings=True, **shared)
    return dict(architectures=["Qwen3MoeForCausalLM"], model_type="qwen3_moe", intermediate_size=512, rope_theta=100000.0,
                tie_word_embeddings=False, moe_intermediate_size=96, num_experts=8, num_experts_per_tok=2,
                norm_topk_prob=True, decoder_sparse_step=1, mlp_only_layers=[0], output_router_logits=False,
                router_aux_loss_coef=0.01, **shared)


def linear(x, w):
    return F.linear(x, w.to(x.dtype))


def rms_norm(x, w, eps):
    y = x.float()
    y = y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + eps)
    return w.to(x.dtype) * y.to(x.dtype)


def flash(q, k, v, cu, longest):
    return torch.ops.aten._flash_attention_forward(q, k, v, cu, cu, longest, longest, 0.0, True, False)[0]


def flash_repeat(q, k, v, cu, longest):
    g = q.shape[1] // k.shape[1]
    return flash(q, k.repeat_interleave(g, 1), v.repeat_interleave(g, 1), cu, longest)


def masked(q, k, v, cu, longest):
    """Plain attention with a block mask: for the CPU and as the reference of the others."""
    t = torch.arange(q.shape[0], device=q.device)
    doc = torch.bucketize(t, cu.long()[1:], right=True)
    mask = (doc[:, None] == doc[None]) & (t[:, None] >= t[None])
    g = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(g, 1), v.repeat_interleave(g, 1)
    q, k, v = (x.transpose(0, 1)[None] for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)[0].transpose(0, 1)


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c, d, h = c, c["head_dim"], c["hidden_size"]
        self.q_proj = nn.Parameter(torch.randn(c["num_attention_heads"] * d, h) * h**-0.5)
        self.k_proj = nn.Parameter(torch.randn(c["num_key_value_heads"] * d, h) * h**-0.5)
        self.v_proj = nn.Parameter(torch.randn(c["num_key_value_heads"] * d, h) * h**-0.5)
        self.o_proj = nn.Parameter(torch.randn(h, c["num_attention_heads"] * d) * 0.01)
        self.q_norm = nn.Parameter(torch.ones(d))
        self.k_norm = nn.Parameter(torch.ones(d))

    def forward(self, x, cos, sin, cu, longest, attend):
        d, eps = self.c["head_dim"], self.c["rms_norm_eps"]
        q = rms_norm(linear(x, self.q_proj).unflatten(-1, (-1, d)), self.q_norm, eps)  # [n_tokens, n_heads, head_dim]
        k = rms_norm(linear(x, self.k_proj).unflatten(-1, (-1, d)), self.k_norm, eps)
        v = linear(x, self.v_proj).unflatten(-1, (-1, d))
        q, k = (y * cos + torch.cat((-y[..., d // 2 :], y[..., : d // 2]), -1) * sin for y in (q, k))
        return linear(attend(q, k, v, cu, longest).flatten(1), self.o_proj)


class Mlp(nn.Module):
    def __init__(self, c):
        super().__init__()
        h, i = c["hidden_size"], c["intermediate_size"]
        self.gate_proj = nn.Parameter(torch.randn(i, h) * h**-0.5)
        self.up_proj = nn.Parameter(torch.randn(i, h) * h**-0.5)
        self.down_proj = nn.Parameter(torch.randn(h, i) * 0.01)

    def forward(self, x):
        return linear(F.silu(linear(x, self.gate_proj)) * linear(x, self.up_proj), self.down_proj), None, None


class Moe(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c, h, i, e = c, c["hidden_size"], c["moe_intermediate_size"], c["num_experts"]
        self.gate = nn.Parameter(torch.randn(e, h) * 0.02)
        self.gate_proj = nn.Parameter(torch.randn(e, i, h) * h**-0.5)
        self.up_proj = nn.Parameter(torch.randn(e, i, h) * h**-0.5)
        self.down_proj = nn.Parameter(torch.randn(e, i, h) * 0.01)  # transposed; export turns it

    def forward(self, x):
        e, k = self.c["num_experts"], self.c["num_experts_per_tok"]
        p = linear(x, self.gate).softmax(-1, dtype=torch.float32)  # [n_tokens, n_experts]
        top, ids = p.topk(k, -1)
        top = top / top.sum(-1, keepdim=True)
        weight = torch.zeros_like(p).scatter(1, ids, top)
        load = (weight > 0).float().mean(0)  # share of the tokens each expert receives
        aux = e * (load * p.mean(0)).sum()  # transformers' load_balancing_loss_func, on this layer
        g, u = linear(x, self.gate_proj.flatten(0, 1)), linear(x, self.up_proj.flatten(0, 1))
        y = (F.silu(g) * u).unflatten(-1, (e, -1)) * weight.to(x.dtype)[..., None]
        return y.flatten(1) @ self.down_proj.flatten(0, 1).to(x.dtype), aux, load


class Layer(nn.Module):
    def __init__(self, c, index):
        super().__init__()
        self.c = c
        self.input_layernorm = nn.Parameter(torch.ones(c["hidden_size"]))
        self.self_attn = Attention(c)
        self.post_attention_layernorm = nn.Parameter(torch.ones(c["hidden_size"]))
        sparse = c.get("num_experts", 0) and index not in c["mlp_only_layers"]
        self.mlp = Moe(c) if sparse else Mlp(c)

    def forward(self, x, *rest):
        eps = self.c["rms_norm_eps"]
        x = x + self.self_attn(rms_norm(x, self.input_layernorm, eps), *rest)
        y, aux, load = self.mlp(rms_norm(x, self.post_attention_layernorm, eps))
        return x + y, aux, load


class Qwen3(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c, d = c, c["head_dim"]
        self.embed_tokens = nn.Parameter(torch.randn(c["vocab_size"], c["hidden_size"]) * 0.02)
        self.layers = nn.ModuleList(Layer(c, i) for i in range(c["num_hidden_layers"]))
        self.norm = nn.Parameter(torch.ones(c["hidden_size"]))
        if not c["tie_word_embeddings"]:
            self.lm_head = nn.Parameter(torch.randn(c["vocab_size"], c["hidden_size"]) * 0.02)
        inv = c["rope_theta"] ** -(torch.arange(0, d, 2).float() / d)
        angle = torch.outer(torch.arange(c["max_position_embeddings"]).float(), inv).repeat(1, 2)
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)

    def forward(self, ids, positions, cu, longest, attend, dtype):
        """logits [n_tokens, vocab_size], mean aux loss, load [n_sparse_layers, n_experts]."""
        x = F.embedding(ids, self.embed_tokens).to(dtype)
        cos, sin = (t[positions][:, None].to(dtype) for t in (self.cos, self.sin))
        auxes, loads = [], []
        for layer in self.layers:
            x, aux, load = layer(x, cos, sin, cu, longest, attend)
            if aux is not None:
                auxes.append(aux)
                loads.append(load)
        x = rms_norm(x, self.norm, self.c["rms_norm_eps"])
        logits = linear(x, self.embed_tokens if self.c["tie_word_embeddings"] else self.lm_head)
        if not auxes:
            return logits, None, None
        return logits, torch.stack(auxes).mean(), torch.stack(loads)


def tensors(model):
    """{official tensor name: bf16 tensor}."""
    out = {}
    for name, p in model.named_parameters():
        p = p.detach().to(torch.bfloat16).cpu()
        *path, last = name.split(".")
        if ".mlp." in name and p.dim() == 3:
            for e in range(p.shape[0]):
                w = p[e].t() if last == "down_proj" else p[e]
                out["model." + ".".join(path) + f".experts.{e}.{last}.weight"] = w.contiguous()
        else:
            out[("" if name == "lm_head" else "model.") + name + ".weight"] = p.contiguous()
    return out


def load(model, path):
    """Read an exported checkpoint back."""
    from safetensors.torch import load_file

    have = load_file(str(Path(path) / "model.safetensors"))
    with torch.no_grad():
        for name, p in model.named_parameters():
            *path, last = name.split(".")
            if ".mlp." in name and p.dim() == 3:
                for e in range(p.shape[0]):
                    w = have["model." + ".".join(path) + f".experts.{e}.{last}.weight"].float()
                    p[e].copy_(w.t() if last == "down_proj" else w)
            else:
                p.copy_(have[("" if name == "lm_head" else "model.") + name + ".weight"].float())


def export(model, out):
    from safetensors.torch import save_file

    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    save_file(tensors(model), str(out / "model.safetensors.tmp"), metadata={"format": "pt"})
    (out / "model.safetensors.tmp").rename(out / "model.safetensors")
    c = model.c
    (out / "config.json").write_text(json.dumps(c, indent=2) + "\n")
    generation = dict(bos_token_id=c["bos_token_id"], do_sample=True, eos_token_id=[c["eos_token_id"], c["bos_token_id"]],
                      pad_token_id=c["pad_token_id"], temperature=0.6, top_k=20, top_p=0.95)
    (out / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")
