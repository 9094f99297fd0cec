"""Makes tests/goldens/perplexity.json: what transformers computes for tests/data/texts/mixed.txt.

    python tests/goldens/make_perplexity_goldens.py        (torch 2.13.x CPU, transformers 5.24.x)

For models/nano in float32 and several windows: the summed loss of the text's tokens, each scored
once, as transformers' documentation does with sliding windows. (That page multiplies each window's
mean loss with one token less than it is the mean of when windows overlap; here the mean is
multiplied with its own count, which is the sum.) And for bfloat16 weights against float32 ones: the
mean KL divergence, to see the order of magnitude.
"""

import json
import pathlib

import torch
import torch.nn.functional as F
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODEL = ROOT.parent / "models" / "nano"
WINDOWS = [(2048, 1024), (128, 64), (100, 100), (64, 16), (50, 33)]


def windows(n, context, stride):
    previous = 0
    for begin in range(0, n, stride):
        end = min(begin + context, n)
        yield begin, end, end - previous
        previous = end
        if end == n:
            break


@torch.no_grad()
def summed_loss(model, ids, context, stride):
    total, count, blocks = 0.0, 0, []
    for begin, end, n_targets in windows(ids.shape[1], context, stride):
        part = ids[:, begin:end]
        labels = part.clone()
        labels[:, :-n_targets] = -100
        n = int((labels[:, 1:] != -100).sum())
        if n == 0:
            continue
        loss = model(part, labels=labels).loss.double().item()
        total += loss * n
        count += n
        blocks.append((loss * n, n))
    mean = total / count
    squares = sum((s - mean * n) ** 2 for s, n in blocks)
    k = len(blocks)
    error = (k / (k - 1) * squares) ** 0.5 / count if k > 1 else None
    return {"context": context, "stride": stride, "windows": k, "scored": count, "nll": total, "error": error}


@torch.no_grad()
def main():
    text = (ROOT / "data" / "texts" / "mixed.txt").read_bytes().decode()
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    ids = tokenizer(text, return_tensors="pt").input_ids
    model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32).eval()
    results = [summed_loss(model, ids, *w) for w in WINDOWS]
    p = F.log_softmax(model(ids).logits[0, :-1].double(), -1)
    half = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.bfloat16).eval()
    q = F.log_softmax(half(ids).logits[0, :-1].double(), -1)
    kl = (p.exp() * (p - q)).sum(-1)
    golden = {
        "made_with": f"torch {torch.__version__}, transformers {transformers.__version__}",
        "bytes": len(text.encode()), "words": len(text.split()),
        "ids": ids[0].tolist(), "results": results,
        "bfloat16": {"kl": kl.mean().item(), "kl_max": kl.max().item(),
                     "same_top": (p.argmax(-1) == q.argmax(-1)).double().mean().item()},
    }
    with open(ROOT / "goldens" / "perplexity.json", "w") as f:
        json.dump(golden, f)
        f.write("\n")
    print(len(ids[0]), json.dumps(results, indent=1), golden["bfloat16"])


if __name__ == "__main__":
    main()
