#!/usr/bin/env python3
"""Three times more requests than the server can serve, come what may (an open loop): what it completes
stays at 95 % of its capacity or more, the rest gets 429 with Retry-After within 10 ms (p99), /health
answers within 50 ms, memory stays, and five seconds later everything is as before.

    script/build release mock_server
    bench/server_overload.py [--seconds 60] [--factor 3]

Capacity by arithmetic: sequences / (steps of a request x time of a step). What a closed loop of as many
clients as sequences completes is the capacity measured, and the one that counts.
"""
import argparse
import asyncio
import collections
import random
import time

import server_client as sc

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--seconds", type=int, default=60)
parser.add_argument("--factor", type=float, default=3)
parser.add_argument("--sequences", type=int, default=16)
parser.add_argument("--waiting", type=int, default=32)
parser.add_argument("--tokens", type=int, default=20, help="of every answer")
parser.add_argument("--step-us", type=int, default=10_000)
options = parser.parse_args()


def body(index):
    return {"prompt": f"{index} " + sc.words(sc.seeded(index), 50), "max_tokens": options.tokens,
            "ignore_eos": True, "temperature": 0}


async def measure_capacity(port, seconds):
    """Answers a second when there are always as many clients as sequences, and their times."""
    times, end = [], time.monotonic() + seconds

    async def client(index):
        while time.monotonic() < end:
            answer = await sc.call(port, "POST", "/v1/completions", body(index))
            assert answer.status == 200, answer
            times.append(answer.seconds)

    begin = time.monotonic()
    await asyncio.gather(*(client(i) for i in range(options.sequences)))
    return len(times) / (time.monotonic() - begin), times


class Flood:
    def __init__(self, server, rate):
        self.server, self.rate = server, rate
        self.finished_at, self.refused_ms, self.health_ms = [], [], []
        self.statuses = collections.Counter()
        self.without_retry_after = 0
        self.most_waiting, self.resident = 0, []

    async def one(self, index):
        try:
            answer = await sc.call(self.server.port, "POST", "/v1/completions", body(index))
        except (ConnectionError, asyncio.IncompleteReadError):
            self.statuses["broken"] += 1
            return
        self.statuses[answer.status] += 1
        if answer.status == 200:
            self.finished_at.append(time.monotonic())
        elif answer.status == 429:
            self.refused_ms.append(1e3 * answer.seconds)
            self.without_retry_after += "retry-after" not in answer.headers

    async def watch(self):
        while True:
            health = await sc.call(self.server.port, "GET", "/health")
            self.health_ms.append(1e3 * health.seconds)
            metrics = (await sc.call(self.server.port, "GET", "/metrics")).body.decode()
            for line in metrics.splitlines():
                if line.startswith("qwen3_num_requests_waiting "):
                    self.most_waiting = max(self.most_waiting, float(line.split()[1]))
            self.resident.append(self.server.resident_mib())
            await asyncio.sleep(0.1)

    async def run(self, seconds):
        """Requests at random moments (exponential gaps), whatever became of those before."""
        watcher = asyncio.create_task(self.watch())
        rng, tasks = random.Random(1), []
        begin = now = time.monotonic()
        while now < begin + seconds:
            tasks.append(asyncio.create_task(self.one(len(tasks))))
            now += rng.expovariate(self.rate)
            await asyncio.sleep(max(0, now - time.monotonic()))
        await asyncio.gather(*tasks)
        watcher.cancel()
        # The first second fills the queue.
        self.goodput = sum(begin + 1 <= at < begin + seconds for at in self.finished_at) / (seconds - 1)


server = sc.mock_server("--step-us", options.step_us, "--max-sequences", options.sequences,
                        "--max-waiting", options.waiting)
asyncio.run(measure_capacity(server.port, 2))  # warm
capacity, usual = asyncio.run(measure_capacity(server.port, 8))
computed = options.sequences / (options.tokens * options.step_us * 1e-6)
print(f"capacity: {capacity:.1f} requests/s measured, {computed:.1f} by arithmetic")

flood = Flood(server, options.factor * capacity)
asyncio.run(flood.run(options.seconds))
print(f"{flood.rate:.0f} requests/s for {options.seconds} s: {dict(flood.statuses)}")
time.sleep(5)
recovered, after = asyncio.run(measure_capacity(server.port, 4))

verdicts = sc.Verdicts()
verdicts.at_least("goodput, share of the capacity", 100 * flood.goodput / capacity, 95, "%")
verdicts.equal("answers other than 200 and 429", sum(flood.statuses.values()) - flood.statuses[200]
               - flood.statuses[429], 0)
verdicts.equal("429 without Retry-After", flood.without_retry_after, 0)
verdicts.at_least("429 in all", flood.statuses[429], 1)
verdicts.at_most("time of a 429, median", sc.percentile(flood.refused_ms, 0.5), 10, "ms")
verdicts.at_most("time of a 429, p99", sc.percentile(flood.refused_ms, 0.99), 10, "ms")
verdicts.at_most("time of /health, p99", sc.percentile(flood.health_ms, 0.99), 50, "ms")
verdicts.at_most("requests waiting at most", flood.most_waiting, options.waiting)
settled = flood.resident[len(flood.resident) // 4]
verdicts.at_most("memory, growth after the first quarter", 100 * (flood.resident[-1] / settled - 1), 5, "%")
verdicts.at_most("p99 of an answer 5 s later against before",
                 sc.percentile(after, 0.99) / sc.percentile(usual, 0.99), 1.2, "x")
verdicts.equal("exit code", server.stop(), 0)
verdicts.exit()
