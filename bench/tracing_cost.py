#!/usr/bin/env python3
"""What it costs that somebody could listen, when nobody does: two builds, paired.

    script/build release qwen3
    cmake --preset release -B build/no-taps -DQWEN3_TAPS=OFF && ninja -C build/no-taps qwen3
    bench/tracing_cost.py build/release/bin/qwen3 build/no-taps/bin/qwen3 -m nano

The second build has no taps: every check for a listener is gone from it. Instructions per decoded
token are counted by valgrind (AVX2, for it knows no AVX-512). Time is that of decoding steps
(`qwen3 bench`), the shortest of several runs; the programs take turns, with, without, and with again,
so that the last pair shows what the machine itself does to a ratio. The bar: 0.1 % of a decoding step.
"""
import argparse
import json
import re
import statistics
import subprocess
import sys

BAR = 0.001


def said(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit code {done.returncode}: {done.stderr.strip()}")
    return done


def instructions(program, model, n_tokens):
    done = said(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, "generate",
                 "-m", model, "--ids", "5,6,7", "--max-tokens", str(n_tokens), "--ignore-eos",
                 "--temperature", "0", "--threads", "1", "--cpu-isa", "avx2", "--quiet"])
    found = re.search(r"Collected : (\d+)", done.stderr)
    if not found:
        sys.exit(f"valgrind: expected a line \"Collected : N\"; got {done.stderr[-200:]!r}")
    return int(found.group(1))


def instructions_per_token(program, model, few=4, many=36):
    return (instructions(program, model, many) - instructions(program, model, few)) / (many - few)


def step_seconds(program, model, tokens, repeat):
    done = said([program, "bench", "-m", model, "--threads", "1", "--prompt-tokens", "0",
                 "--decode-tokens", str(tokens), "--batch", "1", "--context", "0",
                 "--repeat", str(repeat), "--json"])
    return min(json.loads(done.stdout)["decode"][0]["step_seconds"])


def spread(ratios):
    """Median, and the middle half of the ratios."""
    low, _, high = statistics.quantiles(ratios, n=4)
    return f"{(statistics.median(ratios) - 1) * 100:+.3f} % ({(low - 1) * 100:+.3f} to {(high - 1) * 100:+.3f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("with_taps")
    parser.add_argument("without_taps")
    parser.add_argument("-m", "--model", default="nano")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--tokens", type=int, default=256, help="decoded in one run")
    parser.add_argument("--repeat", type=int, default=10, help="runs, of which the shortest counts")
    parser.add_argument("--no-valgrind", action="store_true")
    options = parser.parse_args()
    if not options.no_valgrind:
        a = instructions_per_token(options.with_taps, options.model)
        b = instructions_per_token(options.without_taps, options.model)
        print(f"instructions per token: {a:,.0f} with, {b:,.0f} without: {(a / b - 1) * 100:+.4f} %"
              f" (bar {BAR * 100:.1f} %)", flush=True)
    pairs, control, shortest = [], [], [float("inf")] * 2
    for turn in range(options.rounds):
        measure = lambda program: step_seconds(program, options.model, options.tokens, options.repeat)
        if turn % 2 == 0:
            first, without, second = (measure(options.with_taps), measure(options.without_taps),
                                      measure(options.with_taps))
        else:
            without, first, second = (measure(options.without_taps), measure(options.with_taps),
                                      measure(options.with_taps))
        pairs.append(first / without)
        control.append(second / first)
        shortest = [min(shortest[0], first, second), min(shortest[1], without)]
    print(f"time per decoding step: shortest {shortest[0] * 1e6:.2f} us with, {shortest[1] * 1e6:.2f} us "
          f"without: {(shortest[0] / shortest[1] - 1) * 100:+.3f} %")
    print(f"  {options.rounds} pairs, with against without: median {spread(pairs)}")
    print(f"  {options.rounds} pairs, with against itself:  median {spread(control)}")


if __name__ == "__main__":
    main()
