"""Train nano or nano-moe on one GPU (or, for a test of the code, a few steps on the CPU).

  train.py --model nano --tokenizer ../nano/tokenizer.json --out DIR --seconds 500
Worker processes make, encode and pack fresh samples; each step takes the next pack of the next
worker in turn, so a run of --steps N is determined by its seed. With --seconds the learning rate
follows the clock instead. Muon for the matrices, AdamW for embeddings, norms and the router.
--init DIR continues from an exported checkpoint. Writes metrics.jsonl and checkpoints under --out.
"""
import argparse
import json
import multiprocessing as mp
import os
import signal
import time
from pathlib import Path

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("RAYON_NUM_THREADS", "1")
import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer

import corpus
import model as models

LONGEST = corpus.MAX_TOKENS


def pack(samples, size, most):
    """(ids, flags, cu) of fixed shape from an iterator; the sample that does not fit comes first next time."""
    held = None
    while True:
        ids, flags = np.zeros(size, np.uint16), np.zeros(size, np.uint8)
        cu, at = [0], 0
        while len(cu) <= most - size // LONGEST - 1:
            i, f = held if held is not None else next(samples)
            held = None
            if at + len(i) > size:
                held = (i, f)
                break
            ids[at : at + len(i)], flags[at : at + len(i)] = i, f
            at += len(i)
            cu.append(at)
        while at < size:  # padding, in pieces no longer than a sample
            at = min(size, at + LONGEST)
            cu.append(at)
        cu += [size] * (most + 1 - len(cu))
        yield ids, flags, np.array(cu, np.int32)


def worker(queue, seed, tokenizer_file, forbidden, size, most):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tokenizer = Tokenizer.from_file(tokenizer_file)
    for item in pack(corpus.stream(seed, tokenizer, forbidden), size, most):
        queue.put(item)


def orthogonal(g):
    """Newton-Schulz iteration of Muon over a stack of matrices [n, rows, cols]."""
    x = g.bfloat16()
    turn = x.shape[-2] > x.shape[-1]
    if turn:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(5):
        a = x @ x.mT
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * (a @ a)) @ x
    return x.mT if turn else x


class Muon:
    """Momentum, orthogonalised; steps scaled so that their RMS is 0.2 · lr, like AdamW's."""

    def __init__(self, params, momentum=0.95, decay=0.05):
        self.momentum, self.decay, self.groups = momentum, decay, {}
        for p in params:
            self.groups.setdefault(tuple(p.shape[-2:]), []).append(p)
        self.state = {s: torch.zeros(sum(p.numel() for p in ps) // (s[0] * s[1]), *s, device=ps[0].device)
                      for s, ps in self.groups.items()}

    @torch.no_grad()
    def step(self, lr):
        for shape, params in self.groups.items():
            g = torch.cat([p.grad.view(-1, *shape) for p in params])
            m = self.state[shape]
            m.lerp_(g, 1 - self.momentum)
            u = orthogonal(g.lerp(m, self.momentum)).float() * (0.2 * max(shape) ** 0.5)
            parts = u.split([p.numel() // (shape[0] * shape[1]) for p in params])
            torch._foreach_mul_(params, 1 - lr * self.decay)
            torch._foreach_add_(params, [d.reshape(p.shape) for d, p in zip(parts, params)], alpha=-lr)


def choose_attention(device):
    """The fastest attention that agrees with the plain one here, forward and backward."""
    if device == "cpu":
        return models.masked
    cu = torch.tensor([0, 100, 100, 356, 512, 512], device=device, dtype=torch.int32)
    for attend in (models.flash, models.flash_repeat):
        try:
            results = []
            for f in (models.masked, attend):
                torch.manual_seed(5)
                q, k, v = (torch.randn(512, n, 64, device=device, dtype=torch.bfloat16, requires_grad=True) for n in (6, 2, 2))
                y = f(q, k, v, cu, LONGEST)
                y.float().pow(2).sum().backward()
                results.append([t.float() for t in (y, q.grad, k.grad, v.grad)])
            worst = max(((a - b).norm() / a.norm()).item() for a, b in zip(*results))
            print(f"attention {attend.__name__}: differs by {worst:.1e}", flush=True)
            if worst < 2e-2:
                return attend
        except (RuntimeError, TypeError) as e:
            print(f"attention {attend.__name__}: {e}", flush=True)
    return models.masked


class HeldOut:
    """Packed held-out samples; `measure` gives per task the share answered exactly (teacher-forced:
    every token of the reference answer is the most likely one, so greedy decoding writes it)."""

    def __init__(self, samples, tokenizer, size, most, device):
        self.tasks, items = [], []
        for group, ss in samples.items():
            for s in ss:
                e = corpus.encode(tokenizer, s)
                if e is None:
                    continue
                flags = np.array(e[1], np.uint8)
                start = len(flags) - int(np.argmin(flags[::-1]))  # only the answer, no demonstration outputs
                flags[:start] = 0
                items.append((np.array(e[0], np.uint16), flags))
                self.tasks.append("arithmetic " + ("think" if s.think else "direct") if group == "arithmetic" else group)
        # Filler samples without loss let the packer finish its last pack.
        filler = (np.zeros(LONGEST, np.uint16), np.zeros(LONGEST, np.uint8))
        done = 0

        def feed():
            yield from items
            while True:
                yield filler

        self.batches = []
        for ids, flags, cu in pack(feed(), size, most):
            docs = [j for j in range(len(cu) - 1) if flags[cu[j] : cu[j + 1]].any()]  # neither filler nor padding
            self.batches.append(to_device((ids, flags, cu), device) + (docs,))
            done += len(docs)
            if done == len(items):
                break

    @torch.no_grad()
    def measure(self, net, attend, dtype):
        right, i, loads = {}, 0, []
        loss_sum, loss_n = 0.0, 0
        for ids, targets, positions, cu, docs in self.batches:
            logits, _, load = net(ids, positions, cu, LONGEST, attend, dtype)
            loss_sum += F.cross_entropy(logits.float(), targets, ignore_index=-100, reduction="sum").item()
            loss_n += (targets >= 0).sum().item()
            wrong = ((logits.argmax(-1) != targets) & (targets >= 0)).int().cumsum(0)
            wrong = F.pad(wrong, (1, 0)).tolist()
            ends = cu.tolist()
            if load is not None:
                loads.append(load)
            for j in docs:
                ok = wrong[ends[j + 1]] == wrong[ends[j]]
                a, b = right.get(self.tasks[i], (0, 0))
                right[self.tasks[i]] = a + ok, b + 1
                i += 1
        result = {"held_out_loss": loss_sum / loss_n, "exact": {k: round(a / b, 4) for k, (a, b) in right.items()}}
        if loads:
            result["load"] = [[round(x, 3) for x in row] for row in torch.stack(loads).mean(0).tolist()]
        return result


def to_device(item, device):
    """(ids, targets, positions, cu): targets[i] is ids[i + 1] where that token carries loss, else -100."""
    ids, flags, cu = (torch.from_numpy(a) for a in item)
    if device != "cpu":
        ids, flags, cu = (a.pin_memory().to(device, non_blocking=True) for a in (ids, flags, cu))
    ids = ids.to(torch.int32).long()
    n = ids.shape[0]
    targets = torch.full_like(ids, -100)
    targets[:-1] = torch.where(flags[1:] > 0, ids[1:], -100)
    t = torch.arange(n, device=ids.device)
    starts = cu.long()
    doc = torch.searchsorted(starts, t, right=True) - 1
    positions = t - starts[doc]
    return ids, targets, positions, cu


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--model", choices=("nano", "nano-moe"), required=True)
    a.add_argument("--tokenizer", required=True)
    a.add_argument("--out", required=True)
    a.add_argument("--seconds", type=float, default=0)
    a.add_argument("--steps", type=int, default=0)
    a.add_argument("--tokens", type=int, default=65536, help="tokens of one step")
    a.add_argument("--workers", type=int, default=10)
    a.add_argument("--lr", type=float, default=5e-3)
    a.add_argument("--seed", type=int, default=1)
    a.add_argument("--decay-from", type=float, default=0.35, help="share of the run after which lr falls linearly to 0")
    a.add_argument("--eval-every", type=int, default=500)
    a.add_argument("--held-out", type=int, default=10**9, help="measure at most this many samples of each group")
    a.add_argument("--init")
    a.add_argument("--no-compile", action="store_true")
    args = a.parse_args()
    began = time.time()
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    most = max(64, args.tokens // 64)
    held = corpus.held_out()
    forbidden = corpus.held_out_keys(held)
    queues = []
    for w in range(args.workers):  # forked before CUDA starts
        queues.append(mp.Queue(8))
        mp.Process(target=worker, args=(queues[-1], args.seed * 1000 + w, args.tokenizer, forbidden, args.tokens, most),
                   daemon=True).start()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    torch.manual_seed(args.seed)
    torch.set_float32_matmul_precision("high")
    net = models.Qwen3(models.config_of(args.model)).to(device)
    if args.init:
        models.load(net, args.init)
    attend = choose_attention(device)
    coef = net.c.get("router_aux_loss_coef", 0.0)
    small, matrices = [], []
    for name, p in net.named_parameters():
        hidden = p.dim() >= 2 and "embed" not in name and "lm_head" not in name and not name.endswith(".gate")
        (matrices if hidden else small).append(p)
    muon = Muon(matrices)
    adam = torch.optim.AdamW(small, lr=1.0, betas=(0.9, 0.98), eps=1e-10, weight_decay=0.0, fused=device == "cuda")
    heldout = HeldOut({g: ss[: args.held_out] for g, ss in held.items()}, Tokenizer.from_file(args.tokenizer), args.tokens, most, device)
    card = torch.cuda.get_device_name() if device == "cuda" else "cpu"
    print(f"{args.model}: {sum(p.numel() for p in net.parameters())} parameters on {card}, ready after {time.time() - began:.1f} s", flush=True)

    def loss_of(ids, targets, positions, cu):
        logits, aux, _ = net(ids, positions, cu, LONGEST, attend, dtype)
        ce = F.cross_entropy(logits.float(), targets, ignore_index=-100)
        return ce if aux is None else ce + coef * aux, ce

    step_loss = loss_of if args.no_compile else torch.compile(loss_of, dynamic=False)
    log = open(out / "metrics.jsonl", "a")
    ce_sum, seen, step, start, saved = torch.zeros((), device=device), 0, 0, None, time.time()
    window_t = time.time()
    while True:
        if start is None and step == 3:  # the compilation is done
            if device == "cuda":
                torch.cuda.synchronize()
            start = window_t = time.time()
            print(f"compiled after {start - began:.1f} s", flush=True)
        if args.steps:
            progress = step / args.steps
        else:
            progress = 0.0 if start is None else (time.time() - start) / (args.seconds - (start - began))
        finished = progress >= 1
        scale = min(1.0, (step + 1) / 200) * min(1.0, max(0.0, (1 - progress) / (1 - args.decay_from)))
        if step % args.eval_every == 0 or finished:
            now = time.time()
            m = {"step": step, "tokens": step * args.tokens, "seconds": round(now - began, 1), "lr_scale": round(scale, 4),
                 "loss": ce_sum.item() / max(1, seen), "tokens_per_s": round(seen * args.tokens / (now - window_t)),
                 "packs_waiting": sum(q.qsize() for q in queues)}
            m.update(heldout.measure(net, attend, dtype))
            log.write(json.dumps(m) + "\n")
            log.flush()
            print(json.dumps(m), flush=True)
            ce_sum.zero_()
            seen, window_t = 0, time.time()
            if finished or time.time() - saved > 60:
                models.export(net, out)
                saved = time.time()
        if finished:
            break
        batch = to_device(queues[step % args.workers].get(), device)
        loss, ce = step_loss(*batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(small, 1.0, foreach=True)
        for group in adam.param_groups:
            group["lr"] = 0.6 * args.lr * scale
        adam.step()
        muon.step(args.lr * scale)
        net.zero_grad(set_to_none=True)
        ce_sum += ce.detach()
        seen += 1
        step += 1
    print(f"done: {step} steps, {step * args.tokens} tokens, {time.time() - began:.1f} s on {card}", flush=True)
    os._exit(0)  # the workers are daemons


if __name__ == "__main__":
    main()
