"""Judge a checkpoint on the held-out samples by greedy decoding with transformers.

  evaluate.py MODEL_DIR --out results.json [--per-task N] [--dtype bfloat16] [--generate-all]
Where every token of the reference is the most likely one after the tokens before it, greedy decoding
writes exactly the reference: one forward pass proves such a sample right. All others are generated
freely and judged by their answer (the reasoning may differ). --generate-all generates every sample.
Prints and writes the share of right answers per task and, for a mixture, the share of tokens each
expert of each layer receives.
"""
import argparse
import json
import re
import time

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import corpus
from sample import plain, render_prompt, target_text


def answer_of(text):
    return text.split("</think>\n\n", 1)[-1].removesuffix("<|im_end|>")


def judge(check, text):
    kind, value = check["kind"], check["value"]
    try:
        if kind == "number":
            return int(re.findall(r"-?\d+", text)[-1]) == value
        if kind == "list":
            return [x.strip() for x in text.strip().split(",")] == value
        if kind == "json":
            return json.loads(text) == value
        if kind == "grid":
            return json.loads(re.findall(r"```json\n(.*?)```", text, re.S)[-1]) == value
        if kind == "tools":
            calls = re.findall(r"<tool_call>\n(.*?)\n</tool_call>", text, re.S)
            rest = re.sub(r"<tool_call>\n.*?\n</tool_call>", "", text, flags=re.S)
            return [json.loads(c) for c in calls] == value and not rest.strip()
    except (ValueError, IndexError):
        return False
    return text == value


def group_name(group, s):
    name = group if group not in ("arithmetic", "tools") else s.task
    mode = "think" if s.think is not None else "direct"
    return f"{name} ({mode})"


def generate(model, tokenizer, prompts, longest, device):
    enc = tokenizer(prompts, return_tensors="pt", padding=True, add_special_tokens=False).to(device)
    with torch.no_grad():
        out = model.generate(**enc, do_sample=False, max_new_tokens=longest, temperature=None, top_p=None, top_k=None)
    return [tokenizer.decode(o[enc["input_ids"].shape[1] :], skip_special_tokens=False).split("<|im_end|>")[0].split("<|endoftext|>")[0]
            for o in out]


def exact(model, tokenizer, prompts, targets, device):
    """[bool]: greedy decoding of the prompt writes the target."""
    ids = [[tokenizer(t, add_special_tokens=False)["input_ids"] for t in pair] for pair in zip(prompts, targets)]
    longest = max(len(p) + len(t) for p, t in ids)
    batch = torch.full((len(ids), longest), tokenizer.pad_token_id)
    for row, (p, t) in zip(batch, ids):
        row[: len(p) + len(t)] = torch.tensor(p + t)
    with torch.no_grad():  # padding stands at the right: under the causal mask it changes nothing before it
        best = model(batch.to(device)).logits.argmax(-1).cpu()
    return [best[i, len(p) - 1 : len(p) + len(t) - 1].tolist() == t for i, (p, t) in enumerate(ids)]


def expert_load(model, tokenizer, texts, device):
    """[layer][expert] share of the tokens of whole held-out samples, counted on each router."""
    counts, hooks = {}, []
    k, n = model.config.num_experts_per_tok, model.config.num_experts

    def count(index):
        def hook(_, args, output):
            logits = args[0].reshape(-1, args[0].shape[-1]) @ _.weight.t()
            top = logits.float().topk(k, -1).indices.flatten().cpu()
            c, t = counts.get(index, (torch.zeros(n), 0))
            counts[index] = c + torch.bincount(top, minlength=n), t + logits.shape[0]
        return hook

    for i, layer in enumerate(model.model.layers):
        if hasattr(layer.mlp, "gate"):
            hooks.append(layer.mlp.gate.register_forward_hook(count(i)))
    with torch.no_grad():
        for t in texts:
            model(**tokenizer(t, return_tensors="pt", add_special_tokens=False).to(device))
    for h in hooks:
        h.remove()
    return {i: [round(x, 4) for x in (c / t).tolist()] for i, (c, t) in sorted(counts.items())}


def main():
    a = argparse.ArgumentParser()
    a.add_argument("model")
    a.add_argument("--out", required=True)
    a.add_argument("--per-task", type=int, default=10**9)
    a.add_argument("--generate-all", action="store_true")
    a.add_argument("--exact-batch", type=int, default=48)
    a.add_argument("--batch", type=int, default=64)
    a.add_argument("--dtype", default="bfloat16")
    a.add_argument("--wrong", type=int, default=3, help="wrong answers to keep per task")
    args = a.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer = AutoTokenizer.from_pretrained(args.model, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=getattr(torch, args.dtype)).to(device).eval()
    began = time.time()
    samples = [(g, s) for g, ss in corpus.held_out().items() for s in ss[: args.per_task]]
    lengths = [len(tokenizer(target_text(s), add_special_tokens=False)["input_ids"]) for _, s in samples]
    order = sorted(range(len(samples)), key=lambda i: lengths[i])
    right, wrong, proven = {}, {}, set()
    if not args.generate_all:
        prompts = [plain(render_prompt(s)) for _, s in samples]
        order.sort(key=lambda i: len(prompts[i]) + lengths[i])
        for at in range(0, len(order), args.exact_batch):
            part = order[at : at + args.exact_batch]
            good = exact(model, tokenizer, [prompts[i] for i in part], [target_text(samples[i][1]) for i in part], device)
            proven |= {i for i, ok in zip(part, good) if ok}
        print(f"{len(proven)} of {len(samples)} exact after {time.time() - began:.0f} s", flush=True)
        order = sorted((i for i in order if i not in proven), key=lambda i: lengths[i])

    def count(i, ok):
        group, s = samples[i]
        names = [group_name(group, s)] + (["arc " + s.meta["rule"]] if group == "arc" else [])
        for name in names:
            n, total = right.get(name, (0, 0))
            right[name] = n + ok, total + 1
        return names[0]

    for i in proven:
        count(i, True)
    for at in range(0, len(order), args.batch):
        part = order[at : at + args.batch]
        prompts = [plain(render_prompt(samples[i][1])) for i in part]
        for i, text in zip(part, generate(model, tokenizer, prompts, max(lengths[j] for j in part) + 24, device)):
            s = samples[i][1]
            ok = judge(s.check, answer_of(text))
            name = count(i, ok)
            if not ok:
                wrong.setdefault(name, []).append([s.messages[-1]["content"][-160:], s.answer, text[-300:]])
    result = {
        "samples": len(samples), "exact": len(proven), "seconds": round(time.time() - began, 1), "dtype": args.dtype, "device": device,
        "accuracy": {k: {"right": a, "of": b, "share": round(a / b, 4)} for k, (a, b) in sorted(right.items())},
        "wrong": {k: v[: args.wrong] for k, v in wrong.items()},
    }
    if getattr(model.config, "num_experts", 0):
        texts = [plain(render_prompt(s)) + target_text(s) for _, s in samples[:: max(1, len(samples) // 400)]]
        result["expert_load"] = expert_load(model, tokenizer, texts, device)
    with open(args.out, "w", encoding="utf-8") as f:
        json.dump(result, f, ensure_ascii=False, indent=1)
        f.write("\n")
    print(json.dumps(result["accuracy"]))
    print(json.dumps(result.get("expert_load")))


if __name__ == "__main__":
    main()
