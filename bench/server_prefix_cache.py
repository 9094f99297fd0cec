#!/usr/bin/env python3
"""Time to the first token of a prompt whose first 4,000 tokens are in the prefix cache, against the
same without: at most 1/20. Through HTTP, as text, so that the tokenizer counts in both.

    script/build release qwen3
    bench/server_prefix_cache.py [--model DIRECTORY] [--rounds 8]

Without --model: nano's weights with a context of 8,192 (its answers beyond 2,048 mean nothing, its
arithmetic is the same).
"""
import argparse
import asyncio
import json
import shutil
import tempfile
from pathlib import Path

import server_client as sc

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--model")
parser.add_argument("--rounds", type=int, default=8)
parser.add_argument("--context", type=int, default=8192)
options = parser.parse_args()

N_CACHED = 4000


def nano_with_context(directory, context):
    for file in sc.NANO.iterdir():
        shutil.copy(file, directory)
    config = json.loads((sc.NANO / "config.json").read_text())
    config["max_position_embeddings"] = context
    (Path(directory) / "config.json").write_text(json.dumps(config))
    return directory


async def first_token(port, prompt):
    """Seconds until it, and how many tokens of the prompt were cached."""
    out = await sc.stream(port, "/v1/completions", {
        "prompt": prompt, "max_tokens": 8, "ignore_eos": True, "temperature": 0,
        "stream_options": {"include_usage": True}})
    return out.first_seconds, out.usage["prompt_tokens"], out.usage["prompt_tokens_details"]["cached_tokens"]


def prefix_of(server, round_number):
    """A text of N_CACHED tokens or a few more."""
    rng = sc.seeded("prefix", round_number)
    text = f"Round {round_number}."
    while server.post("/tokenize", {"prompt": text})[1]["count"] < N_CACHED + 64:
        text += " " + sc.words(rng, 100)
    return text


async def measure(server):
    new, cached, fewest = [], [], 1 << 30
    for round_number in range(options.rounds):
        prefix = prefix_of(server, round_number)
        seconds, n_prompt, n_cached = await first_token(server.port, prefix + " Question one?")
        assert n_cached < 64, n_cached
        new.append(seconds)
        seconds, n_prompt, n_cached = await first_token(server.port, prefix + " And question two?")
        cached.append(seconds)
        fewest = min(fewest, n_cached)
        print(f"  {n_prompt} tokens: {1e3 * new[-1]:.1f} ms new, {1e3 * seconds:.1f} ms with {n_cached} "
              "cached", flush=True)
    return new, cached, fewest


with tempfile.TemporaryDirectory() as directory:
    model = options.model or nano_with_context(directory, options.context)
    server = sc.qwen3_serve("-m", model, "--context", options.context)
    new, cached, fewest = asyncio.run(measure(server))
verdicts = sc.Verdicts()
verdicts.at_least("tokens found in the cache", fewest, N_CACHED)
ratio = sc.percentile(cached, 0.5) / sc.percentile(new, 0.5)
print(f"  medians: {1e3 * sc.percentile(new, 0.5):.1f} ms and {1e3 * sc.percentile(cached, 0.5):.1f} ms, "
      f"1/{1 / ratio:.0f}")
verdicts.at_most("first token, cached against new", ratio, 1 / 20)
verdicts.equal("exit code", server.stop(), 0)
verdicts.exit()
