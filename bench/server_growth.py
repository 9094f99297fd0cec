#!/usr/bin/env python3
"""Whether the server keeps something of what it was asked: hostile requests of every kind for a time
(bench/request_generator.py), departures in mid-stream, refused bodies, names and ids that never come
twice; and the slope of its anonymous memory over the second half of that time.

    script/build release mock_server qwen3
    bench/server_growth.py [--seconds 600] [--model nano|mock]
    bench/server_growth.py --control 500 --seconds 60     # 500 bytes of each request are kept: must be seen

The bar is 1 MB an hour, and three standard errors of the slope: an allocator's memory goes up and down.
The longer it runs, the smaller they are. The error comes from the means of blocks, because samples
that follow each other are alike. Everything that the plan provides (weights, KV cache) is touched before.
"""
import argparse
import asyncio
import collections
import math
import statistics
import time

import refused_requests as refused
import request_generator
import server_client as sc

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--seconds", type=float, default=600)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--clients", type=int, default=12)
parser.add_argument("--model", choices=("nano", "mock"), default="nano")
parser.add_argument("--program", default=sc.BIN / "qwen3")
parser.add_argument("--control", type=int, default=0, metavar="BYTES",
                    help="mock_server keeps so many bytes of each request; fail unless that is reported")
options = parser.parse_args()

N_BLOCKS = 12  # of the second half


async def send_generated(port, rng):
    generated = request_generator.make(rng, port)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(generated.data)
        if generated.leave == "shut":
            writer.write_eof()
        if generated.leave != "close":
            await asyncio.wait_for(reader.read(-1), 60)
    finally:
        writer.close()


async def leave_a_stream(port, rng):
    body = {"prompt": sc.words(rng, rng.randint(1, 300)), "max_tokens": 200, "ignore_eos": True, "stream": True,
            "n": rng.randint(1, 3), "user": f"user-{rng.random()}", "cache_salt": f"salt-{rng.random()}"}
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(sc.request_bytes(port, "POST", "/v1/completions", body, [f"X-Request-Id: id-{rng.randrange(10**9)}"]))
        for _ in range(rng.randint(1, 10)):
            await asyncio.wait_for(reader.readline(), 30)
    finally:
        writer.close()


async def be_refused(port, rng):
    pairs = [pair for pair in refused.combinations(False) if not pair[0].padding]
    data = refused.make(*rng.choice(pairs), f"{rng.randrange(10**9)}")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        await asyncio.wait_for(reader.read(1000), 30)
    finally:
        writer.close()


async def ask_for_names(port, rng):
    name = f"{rng.randrange(10**12)}"
    await sc.call(port, "GET", f"/v1/models/model-{name}", headers=[f"X-Request-Id: {name}"])
    await sc.call(port, "POST", "/v1/completions", {"model": name, "prompt": name, f"field-{name}": 1, "max_tokens": 1})


KINDS = [send_generated] * 12 + [leave_a_stream] * 3 + [be_refused] * 2 + [ask_for_names]


async def load(server, seconds, counts, samples):
    end = time.monotonic() + seconds
    indices = iter(range(10**12))

    async def client():
        while time.monotonic() < end:
            rng = sc.seeded(options.seed, next(indices))
            work = rng.choice(KINDS)
            try:
                await work(server.port, rng)
                counts[work.__name__] += 1
            except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError):
                counts["closed"] += 1  # in our face, which a refusal may be

    async def sampler():
        begin = time.monotonic()
        while time.monotonic() < end:
            samples.append((time.monotonic() - begin, server.anonymous_mib()))
            if mock:
                await sc.call(server.port, "GET", "/mock")  # what it keeps for those who ask
            await asyncio.sleep(0.25)

    await asyncio.gather(sampler(), *(client() for _ in range(options.clients)))


async def touch_everything(server):
    """Fills the KV cache, until its memory no longer grows by prompts that were never seen."""
    before = 0
    for round_ in range(40):
        await asyncio.gather(*(sc.call(server.port, "POST", "/v1/completions",
                                       {"prompt": f"{round_}.{i} " + sc.words(sc.seeded(round_, i), 700),
                                        "max_tokens": 1}) for i in range(8)))
        if round_ > 4 and server.anonymous_mib() - before < 0.1:
            return
        before = server.anonymous_mib()


def slope(samples):
    """MB an hour, and its standard error, by least squares over the means of blocks."""
    half = [sample for sample in samples if sample[0] >= samples[-1][0] / 2]
    size = len(half) / N_BLOCKS
    blocks = [half[int(i * size):int((i + 1) * size)] for i in range(N_BLOCKS)]
    x = [statistics.fmean(at for at, _ in block) for block in blocks]
    y = [statistics.fmean(mib for _, mib in block) * 2**20 / 1e6 for block in blocks]
    mean_x, mean_y = statistics.fmean(x), statistics.fmean(y)
    squares = sum((at - mean_x) ** 2 for at in x)
    rate = sum((at - mean_x) * (mb - mean_y) for at, mb in zip(x, y)) / squares
    rest = sum((mb - mean_y - rate * (at - mean_x)) ** 2 for at, mb in zip(x, y))
    return 3600 * rate, 3600 * math.sqrt(rest / (N_BLOCKS - 2) / squares)


mock = options.model == "mock" or options.control > 0
if mock:
    server = sc.mock_server("--step-us", 500, "--max-sequences", 16, "--context", 2048, "--keep-bytes", options.control)
else:
    server = sc.qwen3_serve("-m", "nano", "--max-sequences", 16, "--kv-cache-size", "32M", "--no-access-log",
                            program=options.program)
asyncio.run(touch_everything(server))
asyncio.run(load(server, options.seconds / 10, collections.Counter(), []))
start = server.anonymous_mib()
counts, samples = collections.Counter(), []
asyncio.run(load(server, options.seconds, counts, samples))
peak = max(mib for _, mib in samples)
rate, error = slope(samples)
server.idle()
time.sleep(5)
after = server.anonymous_mib()

verdicts = sc.Verdicts()
verdicts.check(server.alive(), "the server lives", server.alive(), "True")
if options.control:
    verdicts.check(rate > 1 + 3 * error, "the growth that was seeded is seen", f"{rate:.1f} MB/h", f"> 1 + {3 * error:.1f}")
else:
    verdicts.at_most("slope of the second half", rate, 1 + 3 * error, "MB/h")
verdicts.equal("exit code", server.stop(), 0)
print(f"total: {sum(counts.values())} requests in {options.seconds:.0f} s ("
      + ", ".join(f"{name} {n}" for name, n in counts.items())
      + f"); MiB of anonymous memory: {start:.1f} warm, {peak:.1f} at most, {after:.1f} 5 s after the end; "
      f"slope {rate:.1f} ± {error:.1f} MB/h")
verdicts.exit()
