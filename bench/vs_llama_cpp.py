#!/usr/bin/env python3
"""Runs `qwen3 bench` and llama.cpp's llama-bench in turn on the same shapes and machine, and prints
the ratio pair by pair: absolute speeds drift on shared machines, ratios hold.

    bench/make_random_gguf.py bench/configs/qwen3-0.6b/config.json /tmp/q.gguf
    bench/vs_llama_cpp.py --llama-bench PATH/llama-bench --gguf /tmp/q.gguf \
        --qwen3 build/release/bin/qwen3 --config bench/configs/qwen3-0.6b --threads 2 --pairs 3
"""
import argparse
import json
import statistics
import subprocess

parser = argparse.ArgumentParser()
parser.add_argument("--qwen3", default="build/release/bin/qwen3")
parser.add_argument("--config", required=True)
parser.add_argument("--llama-bench", required=True)
parser.add_argument("--gguf", required=True)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--pairs", type=int, default=3)
parser.add_argument("--prompt", type=int, default=512)
parser.add_argument("--decode", type=int, default=64)
parser.add_argument("--context", type=int, default=1024)
options = parser.parse_args()


def ours():
    out = subprocess.run(
        [options.qwen3, "bench", "--random-weights", options.config, "--threads", str(options.threads),
         "--prompt-tokens", str(options.prompt), "--decode-tokens", str(options.decode),
         "--context", f"0,{options.context}", "--batch", "1", "--repeat", "1", "--json"],
        check=True, capture_output=True, text=True).stdout
    report = json.loads(out)
    speeds = {}
    for test in ("prefill", "decode"):
        for row in report[test]:
            speeds[f"{test} @ {row['context']}"] = row["tokens_per_second"]
    return speeds


def theirs():
    out = subprocess.run(
        [options.llama_bench, "-m", options.gguf, "-t", str(options.threads), "-p", str(options.prompt),
         "-n", str(options.decode), "-d", f"0,{options.context}", "-r", "1", "-o", "json"],
        check=True, capture_output=True, text=True).stdout
    return {f"{'prefill' if row['n_prompt'] else 'decode'} @ {row['n_depth']}": row["avg_ts"]
            for row in json.loads(out)}


pairs = []
for i in range(options.pairs):
    pair = (ours(), theirs())
    pairs.append(pair)
    print(f"pair {i + 1}: qwen3 {pair[0]}  llama.cpp {pair[1]}", flush=True)
print(f"{'test':18} {'qwen3':>9} {'llama.cpp':>9} {'ratio min':>9} {'median':>7} {'max':>6}")
for test in pairs[0][0]:
    ratios = sorted(a[test] / b[test] for a, b in pairs if test in b)
    if ratios:
        print(f"{test:18} {statistics.median(a[test] for a, _ in pairs):9.1f} "
              f"{statistics.median(b[test] for _, b in pairs):9.1f} {ratios[0]:9.2f} "
              f"{statistics.median(ratios):7.2f} {ratios[-1]:6.2f}")
