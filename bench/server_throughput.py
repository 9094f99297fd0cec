#!/usr/bin/env python3
"""Tokens a second of 16 clients against one client's, through HTTP: at least 6 times as many.

    script/build release qwen3
    bench/server_throughput.py [--model nano] [--pairs 5] [--tokens 128]
    bench/make_random_checkpoint.py bench/configs/qwen3-0.6b models/nano /tmp/random-0.6b
    bench/server_throughput.py --model /tmp/random-0.6b --pairs 3 --tokens 32

One client and 16 take turns, because the speed of a shared machine drifts; the ratio is taken pair by
pair. Beside it stands the ratio by processor time, which other processes do not disturb as much: what a
token costs the server alone, over what it costs among 16.
"""
import argparse
import asyncio
import time

import server_client as sc

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--model", default="nano")
parser.add_argument("--clients", type=int, default=16)
parser.add_argument("--pairs", type=int, default=5)
parser.add_argument("--tokens", type=int, default=128)
parser.add_argument("--context", type=int, default=1024)
parser.add_argument("--threads", type=int, default=0, help="of the server's engine; 0: one per core")
parser.add_argument("--cpu-isa", default="", help="of the server's engine; the best by default")
options = parser.parse_args()


async def clients(server, n, salt):
    """(tokens a second, processor seconds of the server a token)"""
    async def one(index):
        body = {"prompt": f"{salt} {index} " + sc.words(sc.seeded(salt, index), 16), "temperature": 0,
                "max_tokens": options.tokens, "ignore_eos": True,
                "stream_options": {"include_usage": True}}
        return (await sc.stream(server.port, "/v1/completions", body)).usage["completion_tokens"]

    begin, cpu = time.monotonic(), server.cpu_seconds()
    n_tokens = sum(await asyncio.gather(*(one(i) for i in range(n))))
    seconds, cpu = time.monotonic() - begin, server.cpu_seconds() - cpu
    assert n_tokens == n * options.tokens, n_tokens
    return n_tokens / seconds, cpu / n_tokens


server = sc.qwen3_serve("-m", options.model, "--context", options.context, "--max-sequences",
                        options.clients, "--threads", options.threads,
                        *(["--cpu-isa", options.cpu_isa] if options.cpu_isa else []))
asyncio.run(clients(server, options.clients, "warm"))
ratios, cpu_ratios = [], []
for pair in range(options.pairs):
    alone, alone_cpu = asyncio.run(clients(server, 1, f"{pair} alone"))
    together, together_cpu = asyncio.run(clients(server, options.clients, f"{pair} together"))
    ratios.append(together / alone)
    cpu_ratios.append(alone_cpu / max(together_cpu, 1e-9))
    print(f"  one client {alone:.1f} tokens/s, {options.clients} clients {together:.1f}: "
          f"{ratios[-1]:.2f} x; processor time a token {1e3 * alone_cpu:.2f} and "
          f"{1e3 * together_cpu:.2f} ms: {cpu_ratios[-1]:.2f} x", flush=True)
verdicts = sc.Verdicts()
verdicts.at_least("tokens a second against one client, median of the pairs",
                  sc.percentile(ratios, 0.5), 6, "x")
print(f"  by processor time {sc.percentile(cpu_ratios, 0.5):.2f} x")
verdicts.equal("exit code", server.stop(), 0)
verdicts.exit()
