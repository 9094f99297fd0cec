#!/usr/bin/env python3
"""Two instruction sets against each other: ops_bench with each in turn, so that both meet the same neighbours.

  bench/isa_pairs.py build/release/bin/ops_bench --isa amx avx512_bf16 --weights Q8_0 Q4_K --filter "m=512 down" --pairs 3

Prints for each operation the median of both in microseconds, and of the ratio of their pairs with its range: how
many times as fast the first is. Only what stands in the output of ops_bench --json is looked at.
"""
import argparse
import json
import statistics
import subprocess

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("program", help="ops_bench")
parser.add_argument("--isa", nargs=2, required=True, help="the one that is judged, the other")
parser.add_argument("--weights", nargs="+", default=["bf16"], help="types, as Q8_0")
parser.add_argument("--filter", default="linear", help="part of the names of operations")
parser.add_argument("--threads", default="0", help="0: all cores")
parser.add_argument("--repeat", default="15", help="runs of an operation, of which the best counts")
parser.add_argument("--pairs", type=int, default=3)
options = parser.parse_args()


def times(isa, weights):
    command = [options.program, "--json", "--isa", isa, "--weights", weights, "--filter", options.filter,
               "--repeat", options.repeat, *(["--threads", options.threads] if options.threads != "0" else [])]
    report = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return report, {op["op"]: op for op in report["ops"]}


print(f"{'':40}{options.isa[0]:>12} us{options.isa[1]:>12} us   ratio of {options.pairs} pairs   share of the first")
for weights in options.weights:
    ratios, first_us, second_us, shares = {}, {}, {}, {}
    for _ in range(options.pairs):
        (header, first), (_, second) = times(options.isa[0], weights), times(options.isa[1], weights)
        for name, op in first.items():
            ratios.setdefault(name, []).append(second[name]["us"] / op["us"])
            first_us.setdefault(name, []).append(op["us"])
            second_us.setdefault(name, []).append(second[name]["us"])
            shares.setdefault(name, []).append((op["share"], op["ceiling"]))
    print(f"{weights}: {header['hardware']}, {header['threads']} threads, {header['gb_per_s']:.0f} GB/s read, "
          f"{header['int8_gop_per_s']:.0f} GOP/s int8")
    for name, pairs in ratios.items():
        share, ceiling = sorted(shares[name])[len(pairs) // 2]
        print(f"  {name:38}{statistics.median(first_us[name]):12.1f}   {statistics.median(second_us[name]):12.1f}   "
              f"{statistics.median(pairs):6.2f} ({min(pairs):.2f} to {max(pairs):.2f})   {100 * share:.0f} % of {ceiling}")
