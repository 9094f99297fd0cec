#!/usr/bin/env python3
"""What hostile requests make of the memory of `qwen3 serve --memory-limit`: bodies that are held, bodies
that unfold, bodies beyond every limit, answers that nobody reads, and heads that do not end. RssAnon stays
within the limit + 5 % (read every 20 ms), a refusal comes within 250 ms, a small chat beside starts
within 50 ms (median), and 5 s later the memory is back within 10 MB. The worst two again in a memory
cgroup of the limit + 10 %, where cgroups can be made.

    script/build release qwen3
    bench/server_memory.py [--limit-mib 150] [--only NAME] [--program build/release/bin/qwen3]

Every attack has a server of its own, whose cache is touched first: cache pages are in the plan.
"""
import argparse
import asyncio
import collections
import dataclasses
import json
import multiprocessing
import os
import re
import socket
import threading
import time
from pathlib import Path

import hostile_bodies
import server_client as sc

MIB = 1 << 20
CHAT = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2, "temperature": 0, "stream": True}
LONG = {"prompt": "Count.", "max_tokens": 1500, "ignore_eos": True, "loop_guard": False, "logprobs": 20, "n": 8}


@dataclasses.dataclass
class Attack:
    name: str
    connections: int
    body: bytes = b""       # sent in all but its last byte, if it is held
    path: str = "/v1/chat/completions"
    held: bool = False
    unread: bool = False    # the answer is never read
    bodies: tuple = ()      # instead of `body`, one for each connection
    half_head: bool = False
    seconds: float = 8      # that it lasts at most
    options: tuple = ()
    chats: bool = True      # whether a small chat beside it must start soon
    refused: bool = False   # whether one alone must be answered within the bar


COMPLETIONS = "/v1/completions"
ATTACKS = [
    Attack("200 bodies of 4 MiB held", 200, b" " * (4 * MIB), held=True, seconds=5),
    Attack("33 bodies of 4 MiB held", 33, b" " * (4 * MIB), held=True, seconds=5),
    # Of these the context bounds no length: a list of prompts may have any.
    Attack("200 lists of 4 MiB held", 200, b" " * (4 * MIB), COMPLETIONS, held=True, seconds=5),
    Attack("200 lists of 60 MiB held", 200, b" " * (60 * MIB), COMPLETIONS, held=True, options=("--max-body", 64), seconds=8),
    Attack("32 x 50,000 tool calls", 32, hostile_bodies.tool_calls(50_000), refused=True, seconds=20),
    Attack("32 x 4 MiB of one letter", 32, hostile_bodies.chat_of("a" * 4_000_000), refused=True, seconds=20),
    Attack("bodies of 60 MiB", 1000, b" " * (60 * MIB), held=True, options=("--max-body", 64), seconds=10),
    Attack("16 x 2,000,000 token ids", 16, b'{"prompt":[1' + b",1" * 1_999_999 + b"]}", COMPLETIONS, refused=True),
    Attack("16 x 1,000,000 lists of ids", 16, b'{"prompt":[[1]' + b",[1]" * 999_999 + b"]}", COMPLETIONS, refused=True),
    Attack("16 x 2,000,000 levels", 16, b'{"prompt":' + b"[" * 2_000_000 + b"]" * 2_000_000 + b"}", COMPLETIONS,
           refused=True),
    Attack("16 x 350,000 fields", 16, hostile_bodies.wide(350_000), COMPLETIONS, refused=True),
    Attack("16 x 4 MiB to tokenize", 16, json.dumps({"prompt": "ab " * 1_300_000}).encode(), "/tokenize"),
    Attack("300 unread whole answers", 300, json.dumps(LONG).encode(), COMPLETIONS, unread=True, chats=False),
    Attack("300 unread streams", 300, json.dumps({**LONG, "stream": True}).encode(), COMPLETIONS, unread=True,
           chats=False),
    Attack("1,000 half heads", 1000, half_head=True, seconds=5),
    # No two grammars are the same, so that none has been compiled before.
    Attack("400 costly patterns", 400, bodies=hostile_bodies.costly_patterns(400)),
    Attack("100 large grammars", 100, bodies=hostile_bodies.large_grammars(100)),
]
IN_CGROUP = ("33 bodies of 4 MiB held", "32 x 50,000 tool calls")

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--program", default=sc.BIN / "qwen3")
parser.add_argument("--model", "-m", default="nano", help="one with a long context has longer bodies read")
parser.add_argument("--limit-mib", type=int, default=150)
parser.add_argument("--only", help="a part of an attack's name")
parser.add_argument("--no-times", action="store_true", help="memory only: for sanitizers and busy machines")
options = parser.parse_args()


# ---- measuring, in a process of its own, which the attackers do not slow down ----------------------

def anonymous_bytes(pid):
    try:
        found = re.search(r"RssAnon:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None


def chat_once(port):
    """Milliseconds until the first bytes of the answer's body; None when it is refused or fails."""
    begin = time.monotonic()
    try:
        with socket.create_connection(("127.0.0.1", port), 20) as sock:
            sock.sendall(sc.request_bytes(port, "POST", "/v1/chat/completions", CHAT))
            data = b""
            while b'"content":"' not in data and b"reasoning" not in data:
                piece = sock.recv(4096)
                if not piece or not b"HTTP/1.1 200".startswith(data[:12]):
                    return None
                data += piece
        return 1e3 * (time.monotonic() - begin)
    except OSError:
        return None


CHAT_INTERVAL_MS = 30


def with_those_not_sent(took_ms):
    """A chat that waits keeps the next ones from being sent, which would have waited too: they count."""
    return [took_ms - i * CHAT_INTERVAL_MS for i in range(int(took_ms / CHAT_INTERVAL_MS) + 1)]


def watch(pid, port, begin, stop, enough, most_bytes, results):
    """Samples the memory, and chats from `begin` on, until told to stop; says when the memory is beyond
    all measure."""
    peak, chats, failed = 0, [], 0

    def sample():
        nonlocal peak
        while not stop.is_set():
            peak = max(peak, anonymous_bytes(pid) or 0)
            if peak > most_bytes:
                enough.set()
            time.sleep(0.02)

    sampler = threading.Thread(target=sample)
    sampler.start()
    begin.wait()
    while not stop.is_set():
        took = chat_once(port)
        if took is None:
            failed += 1
        else:
            chats += with_those_not_sent(took)
        stop.wait(1e-3 * CHAT_INTERVAL_MS)
    sampler.join()
    results.send((peak, chats, failed))


# ---- attacking ------------------------------------------------------------------------------------

class Attacker:
    """One connection. `outcome`: a status, "closed", "held", "unread", or "no connection"."""

    def __init__(self, port, attack, end, enough, index=0):
        self.port, self.attack, self.end, self.enough = port, attack, end, enough
        self.body = attack.bodies[index] if attack.bodies else attack.body
        self.outcome, self.refused_ms, self.sent_at = "held", None, None
        self.loop = asyncio.get_running_loop()

    def data(self):
        if self.attack.half_head:
            return b"GET /health HTTP/1.1\r\n" + b"X-A: " + b"a" * 12_000
        head = (f"POST {self.attack.path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nContent-Type: "
                f"application/json\r\nContent-Length: {len(self.body)}\r\n\r\n").encode()
        return head

    async def send(self, sock):
        await self.loop.sock_sendall(sock, self.data())
        if not self.attack.half_head:
            body = memoryview(self.body)[:len(self.body) - self.attack.held]
            for begin in range(0, len(body), 1 << 18):
                if self.enough.is_set():
                    break
                await self.loop.sock_sendall(sock, body[begin:begin + (1 << 18)])
        self.sent_at = time.monotonic()

    async def receive(self, sock):
        data = await self.loop.sock_recv(sock, 4096)
        if self.sent_at is not None:
            self.refused_ms = 1e3 * (time.monotonic() - self.sent_at)
        self.outcome = int(data[9:12]) if data.startswith(b"HTTP/1.1 ") else "closed"

    async def wait(self, tasks):
        while time.monotonic() < self.end and not self.enough.is_set():
            done, _ = await asyncio.wait(tasks, timeout=0.2, return_when=asyncio.FIRST_COMPLETED)
            if tasks[-1] in done or not (tasks := [task for task in tasks if task not in done]):
                return

    async def run(self):
        with socket.socket() as sock:
            sock.setblocking(False)
            if self.attack.unread:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            tasks = []
            try:
                await self.loop.sock_connect(sock, ("127.0.0.1", self.port))
                tasks = [asyncio.create_task(self.send(sock))]
                if not self.attack.unread:
                    tasks.append(asyncio.create_task(self.receive(sock)))
                else:
                    self.outcome = "unread"
                    await asyncio.sleep(max(0, self.end - time.monotonic()))
                await self.wait(tasks)
            except OSError:
                self.outcome = "no connection"
            for task in tasks:
                task.cancel()
            for result in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(result, OSError) and self.outcome == "held":
                    self.outcome = "closed"


async def attack_all(port, attack, enough):
    end = time.monotonic() + attack.seconds
    attackers = [Attacker(port, attack, end, enough, i) for i in range(attack.connections)]
    await asyncio.gather(*(attacker.run() for attacker in attackers))
    return attackers


async def warm(port):
    """Touches the cache and every thread's memory, so that what grows later is the attack's."""
    async def one(i):
        await sc.call(port, "POST", COMPLETIONS, {"prompt": f"{i} " + sc.words(sc.seeded(i), 600), "max_tokens": 2})
    for begin in range(0, 48, 4):
        await asyncio.gather(*(one(begin + i) for i in range(4)))
    await asyncio.gather(*(sc.stream(port, "/v1/chat/completions", CHAT) for _ in range(8)))


def alone_ms(port, attack):
    """The longest of three refusals of one such request, with nothing else under way."""
    async def one():
        attacker = Attacker(port, attack, time.monotonic() + 20, threading.Event())
        await attacker.run()
        return attacker
    attackers = [asyncio.run(one()) for _ in range(3)]
    # Refused before all of it was sent: at once.
    return max(attacker.refused_ms or 0 for attacker in attackers), {attacker.outcome for attacker in attackers}


@dataclasses.dataclass
class Outcome:
    start: float = 0.0
    peak: float = 0.0
    after: float = 0.0
    alone: float = None
    chats: list = None
    failed_chats: int = 0
    outcomes: collections.Counter = None
    alive: bool = True


def run(attack, launcher=()):
    server = sc.qwen3_serve("-m", options.model, "--no-access-log", "--memory-limit", f"{options.limit_mib}M", *attack.options,
                            program=options.program, launcher=launcher)
    asyncio.run(warm(server.port))
    time.sleep(0.5)
    out = Outcome(start=anonymous_bytes(server.pid) / MIB)
    begin, stop, enough = (multiprocessing.Event() for _ in range(3))
    ours, theirs = multiprocessing.Pipe()
    watcher = multiprocessing.Process(target=watch, args=(server.pid, server.port, begin, stop, enough,
                                                          6 * options.limit_mib * MIB, theirs))
    watcher.start()
    if attack.refused:
        out.alone, _ = alone_ms(server.port, attack)
    begin.set()
    attackers = asyncio.run(attack_all(server.port, attack, enough))
    stop.set()
    peak, out.chats, out.failed_chats = ours.recv()
    watcher.join()
    out.peak, out.outcomes = peak / MIB, collections.Counter(attacker.outcome for attacker in attackers)
    time.sleep(5)
    out.alive = server.alive()
    out.after = (anonymous_bytes(server.pid) or 0) / MIB
    server.process.kill()  # what is under way is of no interest any more
    server.process.wait()
    os.unlink(server.log_path)
    return out


def row(name, out):
    median, worst = sc.percentile(out.chats, 0.5), max(out.chats, default=float("nan"))
    alone = "" if out.alone is None else f"{out.alone:.0f}"
    said = ", ".join(f"{n} {outcome}" for outcome, n in out.outcomes.most_common())
    print(f"{name:<32} {out.start:6.1f} {out.peak:7.1f} {out.after:6.1f} {alone:>7} {median:7.1f} {worst:8.1f} "
          f"{len(out.chats):5} {out.failed_chats:6}  {said}", flush=True)


def judge(verdicts, name, attack, out):
    """Adds what the attack missed, by the bars of the head of this file."""
    bars = [(out.alive, "the server is gone"),
            (out.peak <= 1.05 * options.limit_mib, f"{out.peak:.0f} MiB, limit {options.limit_mib} + 5 %"),
            (not out.alive or out.after - out.start <= 10 * 1e6 / MIB, f"{out.after - out.start:.0f} MiB kept after 5 s")]
    if attack.refused and not options.no_times:
        bars.append((out.alone <= 250, f"{out.alone:.0f} ms until one alone was refused, bar 250"))
    if attack.chats and out.alive and not options.no_times:
        median = sc.percentile(out.chats, 0.5)
        bars.append((out.chats and median <= 50, f"a chat beside starts after {median:.0f} ms, bar 50"))
        bars.append((out.failed_chats <= 0.05 * len(out.chats), f"{out.failed_chats} chats beside refused"))
    verdicts += [f"{name}: {what}" for met, what in bars if not met]


# ---- cgroups --------------------------------------------------------------------------------------

class Cgroup:
    """A memory cgroup below this process's own, of version 1 or 2; OSError where none can be made."""

    def __init__(self, n_bytes):
        lines = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
        own = {controller: path.lstrip("/") for _, controllers, path in lines for controller in controllers.split(",")}
        first = "memory" in own
        root = Path("/sys/fs/cgroup/memory" if first else "/sys/fs/cgroup", own["memory" if first else ""])
        self.folder = root / f"qwen3-memory-{os.getpid()}"
        self.folder.mkdir()
        try:
            (self.folder / ("memory.limit_in_bytes" if first else "memory.max")).write_text(str(n_bytes))
        except OSError:
            self.folder.rmdir()
            raise
        self.launcher = ["sh", "-c", f"echo $$ > {self.folder}/cgroup.procs; exec \"$@\"", "sh"]

    def remove(self):
        for _ in range(50):
            try:
                return self.folder.rmdir()
            except OSError:
                time.sleep(0.1)


def run_in_cgroups(attacks, misses):
    for attack in attacks:
        name = "cgroup: " + attack.name
        try:
            cgroup = Cgroup(int(1.1 * options.limit_mib * MIB))
        except (OSError, KeyError) as error:
            print(f"skipped {name}: no memory cgroup can be made ({error})")
            continue
        try:
            out = run(attack, cgroup.launcher)
            row(name, out)
            judge(misses, name, attack, out)
        finally:
            cgroup.remove()


if __name__ == "__main__":
    chosen = [attack for attack in ATTACKS if not options.only or options.only in attack.name]
    print(f"{'MiB of anonymous memory, ms':<32} {'start':>6} {'most':>7} {'5 s on':>6} {'refusal':>7} {'chat':>7} "
          f"{'at most':>8} {'chats':>5} {'failed':>6}  the attackers")
    missed = []
    for one in chosen:
        result = run(one)
        row(one.name, result)
        judge(missed, one.name, one, result)
    run_in_cgroups([one for one in chosen if one.name in IN_CGROUP], missed)
    for miss in missed:
        print("MISSED  " + miss)
    print(f"total: {len(chosen)} attacks, {sum(one.connections for one in chosen)} hostile connections: "
          + (f"{len(missed)} bars missed" if missed else "all bars met"))
    raise SystemExit(1 if missed else 0)
