#!/usr/bin/env python3
"""Runs `qwen3 bench --backend cuda` and llama.cpp with CUDA in turn on one card, model by model, and prints a table of
medians with the ratio that is asked for: decode of a batch after 512 tokens, and prompts from nothing.

    bench/vs_llama_cpp_cuda.py --llama DIRECTORY --models /tmp/models [--lines 0.6b 8b] [--json OUT]
    bench/vs_llama_cpp_cuda.py --models /tmp/models --make        only writes the files, 50 GB for all lines

DIRECTORY holds llama-bench and llama-batched-bench (build_llama_cpp.sh). Both programs read the same GGUF file of
random weights (make_random_gguf.py), but for 30B-A3B: there ours has random weights of BF16, four times the bytes.

llama.cpp runs with all layers on the card, flash attention, graphs and early launches, and of each of its ways the
better counts: prompts with pieces of 512 or 2,048 rows, one sequence by either of its programs (where prompts are
measured too, llama-bench decodes it from nothing, with fewer keys to read), a batch after one of its size has run. Its
times have no sampling in them and ours do; its batches copy all logits to the host and ours sample on the card.
"""
import argparse
import dataclasses
import json
import pathlib
import statistics
import subprocess
import sys
import time

from pairs import Pairs, markdown, output

ROOT = pathlib.Path(__file__).resolve().parent.parent
CONTEXT, DECODE = 512, 64


@dataclasses.dataclass(frozen=True)
class Line:
    """One model: what each program runs, and the least ratio asked for of every test, None for no bar."""
    title: str
    config: str
    mix: str  # of the GGUF file
    batches: dict
    prompts: dict = dataclasses.field(default_factory=dict)
    random: bool = False  # ours draws BF16 weights and reads no file
    share: float | None = None  # of the read bandwidth, one sequence

    def bars(self):
        return {f"decode {n}": bar for n, bar in self.batches.items()} | \
               {f"prefill {n}": bar for n, bar in self.prompts.items()}


LINES = {
    "0.6b": Line("0.6B BF16", "qwen3-0.6b", "BF16", {1: 2.0, 32: 2.5}, share=0.36),
    "8b": Line("8B BF16", "qwen3-8b", "BF16", {1: 1.15, 8: 1.4, 32: 1.5, 128: 1.8},
               {512: 1.4, 2048: 1.5, 8192: 1.7}, share=0.77),
    "8b-q4": Line("8B Q4_K_M", "qwen3-8b", "Q4_K_M", {1: 1.8}),
    "8b-q8": Line("8B Q8_0", "qwen3-8b", "Q8_0", {1: 1.5}),
    "30b-a3b": Line("30B-A3B, ours BF16, theirs Q4_K_M", "qwen3-30b-a3b", "Q4_K_M", {1: 1.3, 32: 2.0}, random=True),
}


def listed(numbers):
    return ",".join(str(n) for n in numbers)


class Programs:
    def __init__(self, args, line):
        self.args, self.line = args, line
        self.file = args.models / f"{line.config}-{line.mix}.gguf"
        self.shares = []

    def make(self):
        if not self.file.exists():
            part = self.file.with_suffix(".part")
            output([sys.executable, ROOT / "bench/make_random_gguf.py", ROOT / "bench/configs" / self.line.config,
                    self.line.mix, part])
            part.rename(self.file)

    def bench(self, *options):
        model = ["--random-weights", ROOT / "bench/configs" / self.line.config] if self.line.random else ["-m", self.file]
        return json.loads(output([self.args.qwen3, "bench", *model, "--backend", self.args.backend, "--json", *options]))

    def ours(self):
        report = self.bench("--prompt-tokens", 0, "--context", CONTEXT, "--decode-tokens", DECODE, "--repeat", 3,
                            "--batch", listed(self.line.batches))
        speeds = {f"decode {row['batch']}": row["tokens_per_second"] for row in report["decode"]}
        self.shares += [row["share_of_read_bandwidth"] for row in report["decode"] if row["batch"] == 1]
        for n in self.line.prompts:
            report = self.bench("--prompt-tokens", n, "--context", 0, "--decode-tokens", 0, "--batch", 1, "--repeat", 3)
            speeds[f"prefill {n}"] = report["prefill"][0]["tokens_per_second"]
        return speeds

    def theirs(self):
        common = ["-m", self.file, "-ngl", self.args.gpu_layers, "-lm", "none"]
        # Streams are cut to 256 tokens; of two runs of each batch the second counts.
        batches = [n for n in self.line.batches for _ in range(2)]
        stream = -(-(CONTEXT + DECODE) // 256) * 256
        out = output([self.args.llama / "llama-batched-bench", *common, "-fa", "on", "-c", max(batches) * stream,
                      "-b", 2048, "-ub", 2048, "-npp", CONTEXT, "-ntg", DECODE, "-npl", listed(batches),
                      "--output-format", "jsonl"])
        rows = [json.loads(text) for text in out.splitlines() if text.startswith("{")]
        speeds = {f"decode {row['pl']}": row["speed_tg"] for row in rows}
        tests = ["-p", listed(self.line.prompts), "-d", 0] if self.line.prompts else ["-p", 0, "-d", CONTEXT]
        for row in json.loads(output([self.args.llama / "llama-bench", *common, "-fa", 1, "-o", "json", "-r", 3, *tests,
                                      "-n", DECODE, "-b", 2048, "-ub", "512,2048" if self.line.prompts else "512"])):
            test = f"prefill {row['n_prompt']}" if row["n_prompt"] else "decode 1"
            speeds[test] = max(speeds.get(test, 0), statistics.median(row["samples_ts"]))
        return speeds


def card():
    try:
        return output(["nvidia-smi", "--query-gpu=name,driver_version,clocks.sm", "--format=csv,noheader"]).strip()
    except (OSError, RuntimeError):
        return "no card"


class Runs:
    """The pairs of one line, and why there are no more of them."""

    def __init__(self, args, line):
        self.line, self.programs, self.error = line, Programs(args, line), None
        self.pairs = Pairs(self.programs.ours, self.programs.theirs, "llama.cpp")

    def run(self, until):
        if self.error is not None or not self.pairs.fits(until):
            return
        try:
            self.programs.make()
            self.pairs.run(say=lambda text: print(f"{self.line.title}: {text}", file=sys.stderr, flush=True))
        except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
            self.error = str(error)

    def report(self):
        shares = self.programs.shares
        return {"line": self.line.title, "config": self.line.config, "mix": self.line.mix, "rows": self.pairs.rows(),
                "share_of_read_bandwidth": statistics.median(shares) if shares else None, "error": self.error}

    def table(self):
        parts = [f"**{self.line.title}**, {len(self.pairs.pairs)} pairs"]
        if self.pairs.pairs:
            parts.append(markdown(self.pairs.rows(), "llama.cpp", self.line.bars()))
        share = self.report()["share_of_read_bandwidth"]
        if share and self.line.share:
            parts.append(f"With one sequence {share:.0%} of the measured read bandwidth (bar {self.line.share:.0%}).")
        if self.error is not None:
            parts.append(f"Failed: {self.error}")
        return "\n\n".join(parts)


def version(args):
    try:
        done = subprocess.run([args.llama / "llama-bench", "--version"], capture_output=True, text=True, timeout=60)
    except OSError as error:
        return str(error)
    return next((line for line in (done.stdout + done.stderr).splitlines() if "version" in line), "of no version")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--qwen3", default=ROOT / "build/release/bin/qwen3", type=pathlib.Path)
    parser.add_argument("--llama", type=pathlib.Path, help="the directory of llama.cpp's programs")
    parser.add_argument("--models", type=pathlib.Path, required=True, help="where the GGUF files are, or are to be")
    parser.add_argument("--lines", nargs="+", choices=LINES, default=list(LINES))
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--seconds", type=float, help="begin no pair that would end later")
    parser.add_argument("--backend", default="cuda", help="of ours")
    parser.add_argument("--gpu-layers", type=int, default=99, help="of theirs")
    parser.add_argument("--make", action="store_true", help="write the files and stop")
    parser.add_argument("--json", type=pathlib.Path)
    args = parser.parse_args()
    until = time.monotonic() + args.seconds if args.seconds else None
    args.models.mkdir(parents=True, exist_ok=True)
    if args.make:
        for name in args.lines:
            Programs(args, LINES[name]).make()
        return 0
    if args.llama is None:
        parser.error("--llama: expected the directory of llama-bench and llama-batched-bench")
    lines = [Runs(args, LINES[name]) for name in args.lines]
    report = {"card": card(), "context": CONTEXT, "llama_cpp": version(args)}
    # Round by round, so that every line has a pair before one has two.
    for _ in range(args.pairs):
        for runs in lines:
            runs.run(until)
            report["lines"] = [line.report() for line in lines]
            if args.json:
                args.json.write_text(json.dumps(report, indent=1))
    print(f"Card: {report['card']}. llama.cpp: {report['llama_cpp']}. Decode after {CONTEXT} tokens; medians of pairs "
          "that take turns.")
    for runs in lines:
        print("\n" + runs.table())
    return int(any(runs.error is not None for runs in lines))


if __name__ == "__main__":
    sys.exit(main())
