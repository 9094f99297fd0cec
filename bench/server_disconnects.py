#!/usr/bin/env python3
"""Clients that leave, 10,000 times and in every phase of a request, by FIN, by RST and by closing their
sending side: the server notices within 10 ms (p99), the blocks are free within a step + 50 ms (p99),
no answer is made to its end for somebody who left, afterwards every count is what it was, and the
streams of clients that stay are the same to the byte.

    script/build release mock_server qwen3
    bench/server_disconnects.py [--disconnects 10000] [--seed 1]
    bench/server_disconnects.py --nano --disconnects 2000     # a real model: counts and streams only
    bench/server_disconnects.py --control 10    # one in 10 cancellations is lost; passes if that is seen

Times run from just before the client's close() to the engine's cancel(), and to the end of the step
that freed the blocks; both processes read the same monotonic clock.
"""
import argparse
import asyncio
import collections
import dataclasses
import socket
import struct
import time

import server_client as sc

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--disconnects", type=int, default=10_000)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--clients", type=int, default=24, help="more than run together, so that some wait")
parser.add_argument("--step-us", type=int, default=5000)
parser.add_argument("--no-times", action="store_true", help="counts and streams only: for sanitizers")
parser.add_argument("--nano", action="store_true", help="against qwen3 serve -m nano")
parser.add_argument("--control", type=int, default=0, metavar="N",
                    help="seed a fault, every Nth cancellation is lost, and fail unless it is reported")
options = parser.parse_args()
if options.control and options.nano:
    parser.error("--control: only mock_server can lose cancellations")

N_SEQUENCES = 16
SEEDS = 8  # of one request: of its choices, which have seeds of their own
PHASES = ["head", "body", "queue", "prefill", "decode", "several", "whole answer", "last token"]


def body_of(rng, index, phase):
    body = {"seed": index * SEEDS, "max_tokens": 40, "ignore_eos": True, "temperature": 0.7,
            "stream": phase != "whole answer", "prompt": f"{index} " + sc.words(rng, rng.randint(1, 200))}
    if phase == "prefill":
        body["prompt"] = f"{index} " + sc.words(rng, 1200)
    if phase == "several":
        body["n"] = rng.randint(2, 4)
    if phase == "last token":
        body["max_tokens"] = rng.randint(1, 6)
    return body


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Client:
    """One request that its client does not see to the end."""

    def __init__(self, port, index):
        self.port, self.index = port, index
        self.rng = sc.seeded(options.seed, index)
        self.phase = self.rng.choice(PHASES)
        self.way = self.rng.choice(["FIN", "RST", "half"])
        self.loop = asyncio.get_running_loop()

    async def run(self, left_ns):
        self.sock = socket.socket()
        self.sock.setblocking(False)
        try:
            await self.loop.sock_connect(self.sock, ("127.0.0.1", self.port))
            await self.talk()
            if self.way == "RST":
                reset(self.sock)
            left_ns[self.index] = time.monotonic_ns()
            if self.way == "half":
                self.sock.shutdown(socket.SHUT_WR)
                while await self.loop.sock_recv(self.sock, 1 << 16):
                    pass
        finally:
            self.sock.close()

    async def talk(self):
        body = body_of(self.rng, self.index, self.phase)
        data = sc.request_bytes(self.port, "POST", "/v1/completions", body)
        head = data.index(b"\r\n\r\n") + 4
        if self.phase == "head":
            data = data[:self.rng.randrange(head)]
        if self.phase == "body":
            data = data[:self.rng.randrange(head, len(data))]
        await self.loop.sock_sendall(self.sock, data)
        if self.phase in ("head", "body", "queue", "whole answer"):
            await asyncio.sleep(self.rng.choice([0, 0.001, 0.005, 0.03]))
        elif self.phase == "prefill":
            await asyncio.sleep(self.rng.uniform(0, 0.08))
        elif self.phase == "last token":
            await self.read_events(body["max_tokens"])
        else:
            await self.read_events(self.rng.randint(1, 20))

    async def read_events(self, n):
        while n > 0 and (data := await self.loop.sock_recv(self.sock, 1 << 16)):
            n -= data.count(b"data: {")


WITNESSES = [{"prompt": f"Witness {i}: " + sc.words(sc.seeded("witness", i), 40 * i), "temperature": 0.9,
              "seed": i, "max_tokens": 200, "ignore_eos": True} for i in range(6)]


@dataclasses.dataclass
class Ends:
    """How the engine's requests ended, as /mock tells it."""
    cancelled: list = dataclasses.field(default_factory=list)  # [seed, cancelled at, freed at]
    finished: list = dataclasses.field(default_factory=list)   # [seed, ended at]

    def add(self, inside):
        self.cancelled += inside["cancelled"]
        self.finished += inside["finished"]


async def storm(server, left_ns, ends, witnessed):
    indices = iter(range(1, options.disconnects + 1))
    over = False

    async def leaver():
        for index in indices:
            try:
                await Client(server.port, index).run(left_ns)
            except ConnectionError:
                pass  # answered and closed before we left

    async def witness(body):
        while not over:
            witnessed[body["seed"]].append((await sc.stream(server.port, "/v1/completions", body)).text)

    async def collector():
        while not over:
            await asyncio.sleep(0.5)
            ends.add((await sc.call(server.port, "GET", "/mock")).json())

    staying = [asyncio.create_task(witness(body)) for body in WITNESSES]
    if not options.nano:
        staying.append(asyncio.create_task(collector()))
    await asyncio.gather(*(leaver() for _ in range(options.clients)))
    over = True
    await asyncio.gather(*staying)


def check_times(verdicts, left_ns, cancelled, step_ms):
    """Only those count whose client had left: a stop of the server's own cancels too."""
    seen_ms, freed_ms = [], []
    for seed, cancelled_ns, freed_ns in cancelled:
        left = left_ns.get(seed // SEEDS, cancelled_ns + 1)
        if left <= cancelled_ns:
            seen_ms.append((cancelled_ns - left) * 1e-6)
            freed_ms.append((freed_ns - left) * 1e-6)
    print(f"  {len(seen_ms)} choices were cancelled; seen after {sc.percentile(seen_ms, 0.5):.2f} ms "
          f"(median), {max(seen_ms):.1f} ms at most; free after {sc.percentile(freed_ms, 0.5):.1f} ms, "
          f"{max(freed_ms):.1f} ms at most")
    verdicts.at_least("choices cancelled", len(seen_ms), options.disconnects / 4)
    verdicts.at_most("departure to cancel(), p99", sc.percentile(seen_ms, 0.99), 10, "ms")
    verdicts.at_most("departure to free blocks, p99", sc.percentile(freed_ms, 0.99), step_ms + 50, "ms")


def check_finished(verdicts, left_ns, finished):
    """An answer that went on for long after its client left: the cancellation was lost. The patience is for
    the answers whose last token was under way, and for busy machines."""
    patience_ns = 5e8 if options.no_times else 1e8
    wasted = sum(ended_ns - left_ns.get(seed // SEEDS, ended_ns) > patience_ns for seed, ended_ns in finished)
    if options.control:
        verdicts.at_least("lost cancellations that were seen", wasted, 1)
    else:
        verdicts.at_most("choices made to the end for clients that had left", wasted, 0)


if options.nano:
    # Those who stay must not be refused because of those who wait beside them.
    server = sc.qwen3_serve("-m", "nano", "--max-sequences", N_SEQUENCES, "--max-batch-tokens", 64,
                            "--max-waiting-tokens", 0)
else:
    # So few blocks that those who stay are preempted now and then.
    server = sc.mock_server("--step-us", options.step_us, "--max-sequences", N_SEQUENCES,
                            "--max-batch-tokens", 256, "--context", 2048, "--blocks", 64,
                            "--lose-cancels", options.control)
quiet = {body["seed"]: asyncio.run(sc.stream(server.port, "/v1/completions", body)).text
         for body in WITNESSES}
before, files = server.idle(), server.descriptors()
left_ns, ends, witnessed = {}, Ends(), collections.defaultdict(list)
begin = time.monotonic()
asyncio.run(storm(server, left_ns, ends, witnessed))
print(f"{options.disconnects} departures in {time.monotonic() - begin:.0f} s")
verdicts = sc.Verdicts()
after = server.idle()
verdicts.at_most("descriptors left open", server.descriptors_over(files), 0)
if not options.nano:
    # The connection of the question before this one may still be closing.
    for _ in range(100):
        inside = server.mock()
        ends.add(inside)
        if inside["exchanges_open"] == inside["connections_open"] == 1:
            break
        time.sleep(0.1)
    check_finished(verdicts, left_ns, ends.finished)
    if not options.no_times and not options.control:
        check_times(verdicts, left_ns, ends.cancelled, options.step_us / 1000)
    verdicts.equal("answers in the making, this one aside", inside["exchanges_open"] - 1, 0)
    verdicts.equal("connections open, this one aside", inside["connections_open"] - 1, 0)
for name in ("qwen3_num_requests_running", "qwen3_num_requests_waiting", "qwen3_kv_cache_usage_perc"):
    verdicts.equal(name, after[name], before[name])
answers = [(seed, text) for seed, texts in witnessed.items() for text in texts]
same = sum(text == quiet[seed] for seed, text in answers)
verdicts.check(same == len(answers) > 0, "streams of those who stayed", f"{same} of {len(answers)} the same",
               "all")
print(f"  {after['qwen3_num_preemptions_total']:.0f} preemptions")
verdicts.equal("exit code", server.stop(), 0)
print(f"total: {len(left_ns)} departures, {len(ends.cancelled)} choices cancelled, {len(answers)} streams compared")
verdicts.exit()
