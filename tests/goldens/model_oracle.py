"""What transformers' eager float32 forward says about a checkpoint directory.

Loads a directory exactly as a user would (AutoModelForCausalLM.from_pretrained), runs one prompt and
returns every intermediate under the project's tap names, plus greedy continuations and losses. Hooks
observe the library's own modules; the only arithmetic replaced is the attention forward of models
that ask for `"qk_norm_order": "after_rope"`, which transformers does not have.
"""

import contextlib

import torch
import transformers
from transformers.models.qwen3 import modeling_qwen3
from transformers.models.qwen3_moe import modeling_qwen3_moe

PINNED = {"torch": "2.13", "transformers": "5.24"}
MODULES = (modeling_qwen3, modeling_qwen3_moe)
ATTENTIONS = (modeling_qwen3.Qwen3Attention, modeling_qwen3_moe.Qwen3MoeAttention)
SPARSE_BLOCK = modeling_qwen3_moe.Qwen3MoeSparseMoeBlock


def check_versions():
    for package, wanted in PINNED.items():
        got = {"torch": torch, "transformers": transformers}[package].__version__
        if not got.startswith(wanted + "."):
            raise SystemExit(f"make_model_goldens: {package}: expected {wanted}.x; got {got}; install it")
    torch.manual_seed(0)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)


def load(directory, dtype=torch.float32):
    """The model in `dtype`, eager attention, with our QK-norm order if the config asks for it."""
    model = transformers.AutoModelForCausalLM.from_pretrained(
        directory, dtype=dtype, attn_implementation="eager", experts_implementation="eager")
    return apply_qk_norm_order(model.eval())


def apply_qk_norm_order(model):
    if getattr(model.config, "qk_norm_order", "official") == "after_rope":
        for layer in model.model.layers:
            layer.self_attn.forward = after_rope_forward.__get__(layer.self_attn)
    return model


def after_rope_forward(self, hidden_states, position_embeddings, attention_mask, **_):
    """Attention with rotate-half RoPE first and the per-head norms second; otherwise the same."""
    library = modeling_qwen3 if isinstance(self, ATTENTIONS[0]) else modeling_qwen3_moe
    n_batch, n_tokens, _ = hidden_states.shape
    heads = (n_batch, n_tokens, -1, self.head_dim)
    q = self.q_proj(hidden_states).view(heads).transpose(1, 2)
    k = self.k_proj(hidden_states).view(heads).transpose(1, 2)
    v = self.v_proj(hidden_states).view(heads).transpose(1, 2)
    q, k = library.apply_rotary_pos_emb(q, k, *position_embeddings)
    q = self.q_norm(q.transpose(1, 2)).transpose(1, 2)  # the hook sees [batch, token, head, head_dim]
    k = self.k_norm(k.transpose(1, 2)).transpose(1, 2)
    mix, probs = library.eager_attention_forward(
        self, q, k, v, attention_mask, scaling=self.scaling)
    return self.o_proj(mix.reshape(n_batch, n_tokens, -1)), probs


@contextlib.contextmanager
def tapping(model):
    """Fills and yields {tap name: tensor without the batch dimension} while the model runs."""
    taps, handles, current = {}, [], [None]

    def keep(name, value):
        taps[name] = value.detach().squeeze(0).contiguous().clone()

    def output(module, name):
        handles.append(module.register_forward_hook(lambda _m, _i, out: keep(name, out)))

    def given(module, name, argument=0):
        handles.append(module.register_forward_pre_hook(lambda _m, args: keep(name, args[argument])))

    def observe_layer(layer, prefix):
        attention, mlp = layer.self_attn, layer.mlp

        def entered(*_):
            current[0] = prefix

        handles.append(layer.register_forward_pre_hook(entered))
        output(layer.input_layernorm, prefix + "input_layernorm")
        for name in ("q_proj", "k_proj", "v_proj", "q_norm", "k_norm", "o_proj"):
            output(getattr(attention, name), f"{prefix}self_attn.{name}")
        given(attention.o_proj, prefix + "self_attn.mix")
        given(layer.post_attention_layernorm, prefix + "attn_residual")
        output(layer.post_attention_layernorm, prefix + "post_attention_layernorm")
        if isinstance(mlp, SPARSE_BLOCK):
            def routed(_m, _i, out):
                for name, value in zip(("router_logits", "routing_weights", "selected_experts"), out):
                    taps[f"{prefix}mlp.{name}"] = value.detach().clone()
            handles.append(mlp.gate.register_forward_hook(routed))
            output(mlp, prefix + "mlp.output")
        else:
            for name in ("gate_proj", "up_proj", "down_proj"):
                output(getattr(mlp, name), f"{prefix}mlp.{name}")
            given(mlp.down_proj, prefix + "mlp.act")
        output(layer, prefix + "output")

    output(model.model.embed_tokens, "embed_tokens")
    for i, layer in enumerate(model.model.layers):
        observe_layer(layer, f"layers.{i}.")
    output(model.model.norm, "norm")
    output(model.lm_head, "logits")

    originals = [(m, m.apply_rotary_pos_emb, m.eager_attention_forward) for m in MODULES]
    for module, rope, attend in originals:
        def tapped_rope(*args, rope=rope, **kwargs):
            q, k = rope(*args, **kwargs)  # [batch, head, token, head_dim]
            keep(current[0] + "self_attn.q_rope", q.transpose(1, 2))
            keep(current[0] + "self_attn.k_rope", k.transpose(1, 2))
            return q, k

        def tapped_attention(*args, attend=attend, **kwargs):
            mix, probs = attend(*args, **kwargs)
            keep(current[0] + "self_attn.probs", probs)
            return mix, probs

        module.apply_rotary_pos_emb, module.eager_attention_forward = tapped_rope, tapped_attention
    try:
        yield taps
    finally:
        for module, rope, attend in originals:
            module.apply_rotary_pos_emb, module.eager_attention_forward = rope, attend
        for handle in handles:
            handle.remove()


@torch.no_grad()
def run_taps(model, ids):
    with tapping(model) as taps:
        model(input_ids=torch.tensor([ids]), use_cache=False)
    return taps


@torch.no_grad()
def greedy(model, ids, n_new):
    """(new ids, smallest gap between the best and the second logit), the whole prefix re-run."""
    ids, start, gap = list(ids), len(ids), float("inf")
    for _ in range(n_new):
        logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1]
        best = logits.topk(2)
        gap = min(gap, (best.values[0] - best.values[1]).item())
        ids.append(best.indices[0].item())
    return ids[start:], gap


def educational_aux_loss(router_logits, top_k):
    """Per layer n_experts * sum_e mean_{t,k} onehot * mean_t p, in float32, averaged over layers."""
    losses = []
    for logits in router_logits:
        p = torch.softmax(logits.float(), dim=-1)
        chosen = torch.nn.functional.one_hot(p.topk(top_k, dim=-1).indices, p.shape[-1]).float()
        losses.append(p.shape[-1] * (chosen.mean(dim=(0, 1)) * p.mean(dim=0)).sum())
    return torch.stack(losses).mean()


@torch.no_grad()
def losses(model, ids, labels, mask):
    """Cross entropy, both auxiliary losses and totals, as plain numbers."""
    inputs = {"input_ids": torch.tensor([ids]), "labels": torch.tensor([labels]), "use_cache": False}
    result = {"ce_loss": model(**inputs).loss.item()}
    if model.config.model_type == "qwen3_moe":
        out = model(**inputs, output_router_logits=True)
        top_k = model.config.num_experts_per_tok
        masked = modeling_qwen3_moe.load_balancing_loss_func(
            out.router_logits, model.config.num_experts, top_k, torch.tensor([mask]))
        result |= {
            "aux_loss": out.aux_loss.item(),
            "aux_loss_masked": masked.item(),
            "aux_loss_educational": educational_aux_loss(out.router_logits, top_k).item(),
            "loss": out.loss.item(),
            "router_gap": min(router_gap(logits, top_k) for logits in out.router_logits),
        }
    else:
        result["loss"] = result["ce_loss"]
    return result


def router_gap(logits, top_k):
    """Smallest distance between the last chosen and the first refused expert."""
    ranked = logits.sort(dim=-1, descending=True).values
    return (ranked[:, top_k - 1] - ranked[:, top_k]).min().item()
