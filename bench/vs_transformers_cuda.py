#!/usr/bin/env python3
"""Runs `qwen3 bench --backend cuda` and transformers with torch.compile in turn on one card, with random BF16 weights
of the same shapes, and prints a table of medians with the ratio that is asked for.

    bench/vs_transformers_cuda.py [--tests 8b-decode-1 8b-prefill] [--json OUT]
    bench/vs_transformers_cuda.py --warm      only compiles, into TORCHINDUCTOR_CACHE_DIR

transformers decodes as its documentation has it fastest: a static cache no longer than it must be, the step
compiled whole with mode="reduce-overhead" (CUDA graphs), the next token taken on the card. A prompt runs both as it
is and compiled, with scaled_dot_product_attention, and the better counts. Needs torch and transformers.
"""
import argparse
import dataclasses
import json
import pathlib
import statistics
import sys
import time

import torch
import transformers

from pairs import Pairs, markdown, output

ROOT = pathlib.Path(__file__).resolve().parent.parent
CONTEXT, DECODE, PROMPT = 512, 64, 2048


@dataclasses.dataclass(frozen=True)
class Test:
    config: str
    batch: int  # sequences that decode; 0: a prompt
    bar: float

    @property
    def name(self):
        return f"{self.config} " + (f"decode {self.batch}" if self.batch else f"prefill {PROMPT}")


TESTS = {"8b-decode-1": Test("qwen3-8b", 1, 1.7), "8b-prefill": Test("qwen3-8b", 0, 1.2),
         "8b-decode-32": Test("qwen3-8b", 32, 2.3), "0.6b-decode-1": Test("qwen3-0.6b", 1, 4.0)}


def random_model(config_directory, device):
    config = transformers.AutoConfig.from_pretrained(config_directory)
    with torch.device(device):
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16, attn_implementation="sdpa")
    return model.eval()


def random_ids(model, *shape):
    return torch.randint(0, model.config.vocab_size, shape, device=model.device)


class Decode:
    """Greedy decoding of a batch after CONTEXT tokens each; a step is compiled once."""

    def __init__(self, model, batch):
        self.model = model
        self.ids = random_ids(model, batch, CONTEXT)
        self.cache = transformers.StaticCache(config=model.config, max_cache_len=CONTEXT + DECODE)

        def step(token, position):
            logits = self.model(token, position_ids=position, past_key_values=self.cache, use_cache=True).logits
            return logits[:, -1].argmax(-1, keepdim=True), position + 1

        self.step = torch.compile(step, mode="reduce-overhead", fullgraph=True)
        for _ in range(2):  # compiles, then records
            self.run(5)

    def run(self, steps=DECODE):
        """Tokens a second."""
        self.cache.reset()
        logits = self.model(self.ids, past_key_values=self.cache, use_cache=True, logits_to_keep=1).logits
        token = logits[:, -1].argmax(-1, keepdim=True)
        position = torch.full((1, 1), CONTEXT, device=self.model.device)
        synchronize(self.model)
        begin = time.perf_counter()
        for _ in range(steps):
            torch.compiler.cudagraph_mark_step_begin()
            token, position = (t.clone() for t in self.step(token, position))
        synchronize(self.model)
        return self.ids.shape[0] * steps / (time.perf_counter() - begin)


class Prefill:
    """One prompt, its keys and values kept."""

    def __init__(self, model):
        self.model = model

        def whole(ids):
            cache = transformers.DynamicCache(config=model.config)
            return model(ids, past_key_values=cache, use_cache=True, logits_to_keep=1).logits

        self.ways = {"as it is": whole, "compiled": torch.compile(whole, dynamic=False)}
        for way in list(self.ways):
            try:
                self.once(way)
                self.once(way)
            except Exception as error:  # of the compiler: any
                print(f"transformers: a prompt {way}: {str(error)[:200]}", file=sys.stderr)
                del self.ways[way]
        if not self.ways:
            raise RuntimeError("transformers: no prompt ran")

    def once(self, way):
        ids = random_ids(self.model, 1, PROMPT)
        synchronize(self.model)
        begin = time.perf_counter()
        self.ways[way](ids)
        synchronize(self.model)
        return PROMPT / (time.perf_counter() - begin)

    def run(self):
        """Tokens a second, of the better way."""
        return max(statistics.median(self.once(way) for _ in range(5)) for way in self.ways)


def synchronize(model):
    if model.device.type == "cuda":
        torch.cuda.synchronize()


def ours(args, test):
    config = args.configs / test.config
    options = ["--prompt-tokens", 0, "--context", CONTEXT, "--decode-tokens", DECODE, "--batch", test.batch] \
        if test.batch else ["--prompt-tokens", PROMPT, "--context", 0, "--decode-tokens", 0, "--batch", 1]
    report = json.loads(output([args.qwen3, "bench", "--random-weights", config, "--backend", args.backend,
                                "--repeat", 3, "--json", *options]))
    return (report["decode"] or report["prefill"])[0]["tokens_per_second"]


def measure(args, test, rival, until):
    runs = Pairs(lambda: {test.name: ours(args, test)}, lambda: {test.name: rival.run()}, "transformers")
    while len(runs.pairs) < args.pairs and runs.fits(until):
        runs.run(say=lambda text: print(text, file=sys.stderr, flush=True))
    return runs.rows()


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--qwen3", default=ROOT / "build/release/bin/qwen3", type=pathlib.Path)
    parser.add_argument("--configs", default=ROOT / "bench/configs", type=pathlib.Path)
    parser.add_argument("--tests", nargs="+", choices=TESTS, default=list(TESTS))
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--seconds", type=float, help="begin no test later, and no pair that would end later")
    parser.add_argument("--backend", default="cuda", help="of ours")
    parser.add_argument("--device", default="cuda", help="of transformers")
    parser.add_argument("--warm", action="store_true", help="compile and stop")
    parser.add_argument("--json", type=pathlib.Path)
    args = parser.parse_args()
    until = time.monotonic() + args.seconds if args.seconds else None
    report = {"torch": torch.__version__, "transformers": transformers.__version__, "rows": []}
    model = shapes = None
    failed = 0
    for name in args.tests:
        test = TESTS[name]
        if until is not None and time.monotonic() > until:
            print(f"{test.name}: not measured, no time left", file=sys.stderr)
            continue
        begin = time.monotonic()
        try:
            if shapes != test.config:
                model = None
                torch._dynamo.reset()
                model, shapes = random_model(args.configs / test.config, args.device), test.config
            rival = Decode(model, test.batch) if test.batch else Prefill(model)
            print(f"{test.name}: ready after {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)
            report["rows"] += [] if args.warm else measure(args, test, rival, until)
        except Exception as error:  # of a compiler or a program: any; the other tests stand
            failed += 1
            print(f"{test.name}: failed: {str(error)[-600:]}", file=sys.stderr)
        if args.json:
            args.json.write_text(json.dumps(report, indent=1))
    if not args.warm:
        print(f"\n**transformers {transformers.__version__}, torch {torch.__version__}, compiled**\n")
        print(markdown(report["rows"], "transformers", {test.name: test.bar for test in TESTS.values()}))
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
