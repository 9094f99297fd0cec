"""Goldens of the sampler: what transformers' logits processors keep, in the engine's order.

    python3 make_sampler_goldens.py > ../engine/goldens/sampler.json

Needs torch and transformers (made with torch 2.13, transformers 5.24). Each case gives logits,
parameters, the token history, and what remains: kept ids and their probabilities. vLLM's order
(repetition, temperature, min_p, top_k, top_p) is put together from the single processors; those
before the filters are also transformers' own order. Frequency and presence penalties, which
transformers lacks, follow OpenAI's definition, written out in torch.
"""

import json

import torch
from transformers.generation.logits_process import (
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

VOCAB = 48


def case(generator, index):
    def uniform():
        return float(torch.rand((), generator=generator))

    def pick(*values):
        return values[int(torch.randint(len(values), (), generator=generator))]

    logits = torch.randn(VOCAB, generator=generator) * pick(0.5, 2.0, 6.0)
    if index % 5 == 0:
        logits = (logits * 2).round() / 2  # many ties
    logits = (logits * 1024).round() / 1024  # short, exact in text
    tokens = torch.randint(VOCAB, (10,), generator=generator)
    n_prompt = pick(3, 6, 10)
    p = {
        "temperature": pick(0.3, 0.7, 1.0, 1.7),
        "top_k": pick(0, 1, 3, 20, 1000),
        # Ties at the edge of the nucleus are cut by sort order in torch: not comparable.
        "top_p": 1.0 if index % 5 == 0 else pick(0.1, 0.5, 0.8, 0.95, 1.0),
        "min_p": pick(0.0, 0.0, 0.02, 0.2),
        "repetition_penalty": pick(1.0, 1.05, 1.5, 0.8),
        "presence_penalty": pick(0.0, 0.0, 1.5, -0.5),
        "frequency_penalty": pick(0.0, 0.0, 0.25, 1.0),
    }
    history, row = tokens[None], logits[None].clone()
    if p["repetition_penalty"] != 1.0:
        row = RepetitionPenaltyLogitsProcessor(p["repetition_penalty"])(history, row)
    counts = torch.bincount(tokens[n_prompt:], minlength=VOCAB).float()[None]
    row = row - p["frequency_penalty"] * counts
    row = row - p["presence_penalty"] * (counts > 0).float()
    row = TemperatureLogitsWarper(p["temperature"])(history, row)
    if p["min_p"] > 0:
        row = MinPLogitsWarper(p["min_p"])(history, row)
    if p["top_k"] > 0:
        row = TopKLogitsWarper(p["top_k"])(history, row)
    if p["top_p"] < 1:
        row = TopPLogitsWarper(p["top_p"])(history, row)
    probabilities = torch.softmax(row[0].double(), -1)
    kept = torch.nonzero(row[0] > -float("inf")).flatten()
    return {
        "logits": logits.tolist(),
        "tokens": tokens.tolist(),
        "n_prompt": n_prompt,
        **p,
        "kept": kept.tolist(),
        "probabilities": [round(x, 9) for x in probabilities[kept].tolist()],
        "logprobs": [round(x, 8) for x in torch.log_softmax(logits.double(), -1).tolist()],
    }


def main():
    generator = torch.Generator().manual_seed(20250914)
    cases = [case(generator, i) for i in range(150)]
    print("[" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "]")


if __name__ == "__main__":
    main()
