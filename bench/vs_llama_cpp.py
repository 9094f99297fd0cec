#!/usr/bin/env python3
"""Runs `qwen3 bench` and llama.cpp's llama-bench in turn on the same shapes and machine, and prints
the ratio pair by pair: absolute speeds drift on shared machines, ratios hold.

    bench/make_random_gguf.py bench/configs/qwen3-0.6b Q4_K_M /tmp/q.gguf
    bench/vs_llama_cpp.py --llama-bench PATH/llama-bench --gguf /tmp/q.gguf \
        --qwen3 build/release/bin/qwen3 --threads 2 --pairs 3

Both read the same file. --config DIRECTORY: ours makes random BF16 weights of a config instead.

On a card: vs_llama_cpp_cuda.py.
"""
import argparse
import json

from pairs import Pairs, output

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--qwen3", default="build/release/bin/qwen3")
parser.add_argument("--config")
parser.add_argument("--llama-bench", required=True)
parser.add_argument("--gguf", required=True)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--pairs", type=int, default=3)
parser.add_argument("--prompt", type=int, default=512)
parser.add_argument("--decode", type=int, default=64)
parser.add_argument("--context", type=int, default=1024)
options = parser.parse_args()


def ours():
    weights = ["--random-weights", options.config] if options.config else ["-m", options.gguf]
    report = json.loads(output(
        [options.qwen3, "bench", *weights, "--backend", "cpu", "--threads", options.threads,
         "--prompt-tokens", options.prompt, "--decode-tokens", options.decode,
         "--context", f"0,{options.context}", "--batch", "1", "--repeat", "1", "--json"], seconds=3600))
    return {f"{test} @ {row['context']}": row["tokens_per_second"]
            for test in ("prefill", "decode") for row in report[test]}


def theirs():
    rows = json.loads(output(
        [options.llama_bench, "-m", options.gguf, "-t", options.threads, "-p", options.prompt,
         "-n", options.decode, "-d", f"0,{options.context}", "-r", "1", "-o", "json"], seconds=3600))
    return {f"{'prefill' if row['n_prompt'] else 'decode'} @ {row['n_depth']}": row["avg_ts"] for row in rows}


runs = Pairs(ours, theirs, "llama.cpp")
for _ in range(options.pairs):
    runs.run(say=lambda line: print(line, flush=True))
print(f"{'test':18} {'qwen3':>9} {'llama.cpp':>9} {'ratio min':>9} {'median':>7} {'max':>6}")
for row in runs.rows():
    ratio = row["ratio"]
    print(f"{row['test']:18} {row['ours']:9.1f} {row['theirs']:9.1f} {ratio['min']:9.2f} {ratio['median']:7.2f} "
          f"{ratio['max']:6.2f}")
