#!/usr/bin/env python3
"""What it costs that somebody could listen, when nobody does: two builds, paired.

    script/build release qwen3
    cmake --preset release -B build/no-taps -DQWEN3_TAPS=OFF && ninja -C build/no-taps qwen3
    bench/tracing_cost.py build/release/bin/qwen3 build/no-taps/bin/qwen3 -m nano

The second build has no taps: every check for a listener is gone from it. Instructions per decoded
token are counted by valgrind (AVX2, for it knows no AVX-512). Time is processor time of the whole
process for so many decoded tokens less that for few of them, one thread, so that other work on the
machine disturbs little; the programs take turns, with, without, and with again, so that the last
pair shows what the machine itself does to a ratio. The bar: 0.1 % of a decoding step.
"""
import argparse
import re
import resource
import statistics
import subprocess
import sys

BAR = 0.001


def said(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit code {done.returncode}: {done.stderr.strip()}")
    return done


def decode(program, model, n_tokens, *more):
    return [program, "generate", "-m", model, "--ids", "5,6,7", "--max-tokens", str(n_tokens),
            "--ignore-eos", "--temperature", "0", "--threads", "1", "--quiet", *more]


def instructions(program, model, n_tokens):
    done = said(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
                 *decode(program, model, n_tokens, "--cpu-isa", "avx2")])
    found = re.search(r"Collected : (\d+)", done.stderr)
    if not found:
        sys.exit(f"valgrind: expected a line \"Collected : N\"; got {done.stderr[-200:]!r}")
    return int(found.group(1))


def instructions_per_token(program, model, few=4, many=36):
    return (instructions(program, model, many) - instructions(program, model, few)) / (many - few)


def processor_seconds(command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    said(command)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def spread(ratios):
    """Median, and the middle half of the ratios."""
    low, _, high = statistics.quantiles(ratios, n=4)
    return f"{(statistics.median(ratios) - 1) * 100:+.3f} % ({(low - 1) * 100:+.3f} to {(high - 1) * 100:+.3f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("with_taps")
    parser.add_argument("without_taps")
    parser.add_argument("-m", "--model", default="nano")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--tokens", type=int, default=1000, help="decoded in one run")
    parser.add_argument("--no-valgrind", action="store_true")
    options = parser.parse_args()
    if not options.no_valgrind:
        a = instructions_per_token(options.with_taps, options.model)
        b = instructions_per_token(options.without_taps, options.model)
        print(f"instructions per token: {a:,.0f} with, {b:,.0f} without: {(a / b - 1) * 100:+.4f} %"
              f" (bar {BAR * 100:.1f} %)", flush=True)

    few = 2
    start = min(processor_seconds(decode(program, options.model, few))
                for program in (options.with_taps, options.without_taps) for _ in range(10))

    def measure(program):
        return processor_seconds(decode(program, options.model, options.tokens)) - start

    pairs, control, shortest = [], [], [float("inf")] * 2
    for turn in range(options.rounds):
        if turn % 2 == 0:
            first, without = measure(options.with_taps), measure(options.without_taps)
        else:
            without, first = measure(options.without_taps), measure(options.with_taps)
        second = measure(options.with_taps)
        pairs.append(first / without)
        control.append(second / first)
        shortest = [min(shortest[0], first, second), min(shortest[1], without)]
    per_token = [seconds / (options.tokens - few) * 1e6 for seconds in shortest]
    print(f"processor time per decoded token: shortest {per_token[0]:.2f} us with, {per_token[1]:.2f} us "
          f"without: {(shortest[0] / shortest[1] - 1) * 100:+.3f} %")
    print(f"  {options.rounds} pairs, with against without: median {spread(pairs)}")
    print(f"  {options.rounds} pairs, with against itself:  median {spread(control)}")


if __name__ == "__main__":
    main()
