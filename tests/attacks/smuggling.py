#!/usr/bin/env python3
"""An attacker and a victim behind one reverse proxy that shares its connections to the server: the attacker
sends requests that must be refused and whose body is another whole request (bench/refused_requests.py).
No answer may reach another than who asked, and the access log may show none of the inner requests.

Every refusal is first sent without a proxy, where its status is known; then through each proxy that is
named. script/test-proxies installs them and says how many tries.

    tests/attacks/smuggling.py [--program build/release/bin/qwen3] [--proxies nginx haproxy] [--tries 10000]
"""
import argparse
import asyncio
import collections
import dataclasses
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))
import refused_requests as refused  # noqa: E402
import server_client as sc  # noqa: E402

NGINX = """
daemon off;
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log error;
events {{ worker_connections 512; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  client_max_body_size 0;
  large_client_header_buffers 8 16k;
  keepalive_requests 10000;
  upstream behind {{ server 127.0.0.1:{server}; keepalive 4; }}
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_set_header Host $http_host;
  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://behind; }} }}
  server {{ listen 127.0.0.1:{second_port}; location / {{ proxy_pass http://behind; proxy_request_buffering off; }} }}
}}
"""

HAPROXY = """
global
  nbthread 1
  maxconn 512
  tune.http.maxhdr 200
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  http-reuse always
listen first
  bind 127.0.0.1:{port}
  server behind 127.0.0.1:{server} pool-max-conn 4
listen second
  bind 127.0.0.1:{second_port}
  option http-buffer-request
  server behind 127.0.0.1:{server} pool-max-conn 4
"""


class Proxy:
    """nginx or haproxy before a server, with two entrances: bodies passed on as they come, or collected."""

    def __init__(self, name, server_port):
        self.name = name
        self.folder = tempfile.TemporaryDirectory(prefix=f"{name}-")
        self.ports = sc.free_ports(2)
        config = Path(self.folder.name, f"{name}.conf")
        config.write_text({"nginx": NGINX, "haproxy": HAPROXY}[name].format(
            folder=self.folder.name, server=server_port, port=self.ports[0], second_port=self.ports[1],
            user="user root;" if os.geteuid() == 0 else ""))
        command = {"nginx": ["nginx", "-p", self.folder.name, "-c", str(config)],
                   "haproxy": ["haproxy", "-q", "-db", "-f", str(config)]}[name]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        end = time.monotonic() + 10
        while not all(self._listens(port) for port in self.ports):
            if self.process.poll() is not None or time.monotonic() > end:
                self.process.kill()
                raise SystemExit(f"{name} does not start:\n{config.read_text()}")
            time.sleep(0.05)

    @staticmethod
    def _listens(port):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    def stop(self):
        self.process.terminate()
        self.process.wait(10)
        self.folder.cleanup()


@dataclasses.dataclass
class Tally:
    tries: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    statuses: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    owned: int = 0    # answers to the victim that were its own
    refused: int = 0  # answers to the victim that the proxy or the server gave as an error of its own
    faults: list = dataclasses.field(default_factory=list)
    inner: int = 0    # requests inside bodies that the access log shows


class Client:
    """A connection that is made again when it was closed."""

    def __init__(self, port):
        self.port, self.reader, self.writer = port, None, None

    async def send(self, data):
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, seconds=30):
        """The next final answer; None when the connection ended before it."""
        if self.reader is None:
            return None
        try:
            while True:
                got = await asyncio.wait_for(sc.read_answer(self.reader), seconds)
                if got.status != 100:
                    break
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.TimeoutError):
            self.close()
            return None
        if got.headers.get("connection", "") == "close":
            self.close()
        return got

    def close(self):
        if self.writer is not None:
            self.writer.close()
        self.reader = self.writer = None


def is_of(answer, names):
    """Whether it answers one of these requests, or is an error that no request's id came with."""
    name = answer.headers.get("x-request-id")
    if name is None or name.startswith("req-"):
        return answer.status >= 400
    return name in names


async def attack(client, data, number, framing, tally):
    names = {f"outer-{number}", f"outer-{number}-after", f"outer-{number}-last"}
    try:
        await client.send(data)
    except ConnectionError:
        client.close()
        return
    for _ in range(2 if framing == "pipelined" else 1):
        answer = await client.answer()
        if answer is None:
            return
        tally.statuses[answer.status] += 1
        if not is_of(answer, names):
            tally.faults.append(f"the attacker of try {number} got the answer of "
                                f"{answer.headers['x-request-id']}")
    if client.writer is None:
        return
    # Whose answer comes next on the connection that the refused request left?
    try:
        await client.send(refused.head("GET", "/v1/models", refused.SERVER_NAME,
                                       [f"X-Request-Id: outer-{number}-last",
                                        f"Authorization: Bearer {refused.KEY}"]))
    except ConnectionError:
        return client.close()
    answer = await client.answer()
    if answer is not None and not is_of(answer, names):
        tally.faults.append(f"after try {number} the attacker got the answer of "
                            f"{answer.headers['x-request-id']}")


async def be_victim(port, label, tally, over):
    client, key = Client(port), [f"Authorization: Bearer {refused.KEY}"]
    for number in range(10**9):
        if over.is_set():
            return client.close()
        name = f"victim-{label}-{number}"
        if number % 3 == 0:
            data = refused.head("GET", "/v1/models", refused.SERVER_NAME, [f"X-Request-Id: {name}", *key])
        else:
            data = refused.completion(name, f"{name} asks", number % 3, key)
        try:
            await client.send(data)
        except ConnectionError:
            client.close()
            continue
        answer = await client.answer()
        if answer is None:
            tally.refused += 1
        elif answer.status == 200:
            right = answer.headers.get("x-request-id") == name
            if right and number % 3:
                right = answer.json()["choices"][0]["text"].startswith(f"{name} asks")
            tally.owned += right
            if not right:
                tally.faults.append(f"{name} got the answer of {answer.headers.get('x-request-id')}: "
                                    f"{answer.body[:80]!r}")
        else:
            tally.refused += 1
            if not is_of(answer, {name}):
                tally.faults.append(f"{name} got {answer.status} of {answer.headers['x-request-id']}")


async def storm(proxy, keyed, tries, seed, tally):
    """Attackers and victims at both entrances until the tries are done."""
    pairs, rng, over = refused.combinations(keyed), random.Random(seed), asyncio.Event()
    numbers = iter(range(tries))

    async def be_attacker(port):
        client = Client(port)
        for number in numbers:
            reason, framing = pairs[number % len(pairs)]
            if reason.padding and rng.random() < 0.8:  # a megabyte each time would be the network's test
                reason, framing = pairs[rng.randrange(len(pairs) // 2)]
            name = f"{proxy.name}-{int(keyed)}-{number}"
            await attack(client, refused.make(reason, framing, name), name, framing, tally)
            tally.tries[proxy.name] += 1
        client.close()

    victims = [asyncio.create_task(be_victim(port, f"{proxy.name}-{int(keyed)}-{i}", tally, over))
               for i, port in enumerate(2 * proxy.ports)]
    await asyncio.gather(*(be_attacker(port) for port in 2 * proxy.ports))
    over.set()
    await asyncio.gather(*victims)


async def read_all(client, seconds):
    """All answers that come until the connection ends or `seconds` pass without one."""
    answers = []
    while client.writer is not None and (answer := await client.answer(seconds)) is not None:
        answers.append(answer)
    return answers


async def send_straight(port, keyed, tally):
    """Each refusal on a connection of its own, without a proxy: its status, and nothing after it."""
    for index, (reason, framing) in enumerate(refused.combinations(keyed)):
        name = f"straight-{int(keyed)}-{index}"
        client = Client(port)
        await client.send(refused.make(reason, framing, name, inner_tokens=1))
        answers = await read_all(client, 0.3)
        client.close()
        tally.tries["no proxy"] += 1
        where = f"{reason.name}, {framing}"
        wanted = {reason.status, 429} if reason.status == 401 else {reason.status}
        if not answers or answers[0].status not in wanted:
            tally.faults.append(f"{where}: status {answers[0].status if answers else 'none'}, "
                                f"expected {reason.status}")
        for answer in answers:
            if not is_of(answer, {f"outer-{name}", f"outer-{name}-after"}):
                tally.faults.append(f"{where}: the body was carried out")


async def fail_keys(port):
    """So many wrong keys that the next is told 429."""
    for _ in range(25):
        await sc.call(port, "GET", "/v1/models", headers=("Authorization: Bearer wrong",))


async def late_refusals(server, tally):
    """Refusals that come of time and state: a body that does not go on (408), a server full of
    connections (503), and one that is ending (503). What the client sends then is nobody's request."""
    inner = [refused.completion(f"inner-late-{i}", "late", 1) for i in range(3)]
    slow = Client(server.port)
    await slow.send(refused.head("POST", "/v1/completions", refused.SERVER_NAME,
                                 ["Content-Type: application/json", "Content-Length: 100000"]) + b"{")
    answers = await read_all(slow, 12) if await expect_status(slow, 408, "slow body", tally) else []
    if slow.writer:
        await slow.send(inner[0])
        answers += await read_all(slow, 1)
    crowd = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(1023)]
    late = Client(server.port)
    await asyncio.sleep(0.5)
    extra = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(2)]
    try:
        await late.send(refused.head("POST", "/v1/completions", "evil.example",
                                     [f"Content-Length: {len(inner[1])}"]) + inner[1])
        answers += await read_all(late, 1)
    except ConnectionError:
        pass  # closed before we spoke, which is a refusal too
    for _, writer in crowd + extra:
        writer.close()
    await asyncio.sleep(0.5)
    answers += await drain_case(server, inner[2])
    tally.tries["no proxy"] += 3
    for answer in answers:
        if answer.status == 200:
            tally.faults.append("a late refusal was followed by an answer")


async def expect_status(client, status, what, tally):
    answer = await client.answer(15)
    if answer is None or answer.status != status:
        tally.faults.append(f"{what}: expected {status}, got {answer.status if answer else 'nothing'}")
    return client.writer is not None


async def drain_case(server, inner):
    """Half a head before SIGTERM, the rest after it, while somebody's stream keeps the server alive."""
    keeper, half = Client(server.port), Client(server.port)
    await keeper.send(refused.completion("keeper", "keeper", 1500))
    data = refused.head("POST", "/v1/completions", "evil.example", [f"Content-Length: {len(inner)}"]) + inner
    await half.send(data[:20])
    await asyncio.sleep(0.2)
    server.process.terminate()
    await asyncio.sleep(0.1)
    try:
        await half.send(data[20:])
    except ConnectionError:
        pass
    answers = await read_all(half, 2) if half.writer else []
    keeper.close()
    return answers


def serve(program, keyed, folder):
    options = ["-m", "nano", "--allow-host", refused.SERVER_NAME, "--max-body", "1", "--max-waiting-tokens", "0"]
    if keyed:
        keys = Path(folder, "keys")
        keys.touch(mode=0o600)
        keys.write_text(f"mine:{refused.KEY}\n")
        options += ["--api-key-file", keys]
    return sc.qwen3_serve(*options, program=program)


def run(options, keyed, folder, tally):
    server = serve(options.program, keyed, folder)
    share = 0.3 if keyed else 0.7
    asyncio.run(send_straight(server.port, keyed, tally))
    if keyed:
        asyncio.run(fail_keys(server.port))
        asyncio.run(send_straight(server.port, keyed, tally))
    for name in options.proxies:
        proxy = Proxy(name, server.port)
        asyncio.run(storm(proxy, keyed, int(options.tries * share / len(options.proxies)), options.seed, tally))
        proxy.stop()
    if not keyed:
        asyncio.run(late_refusals(server, tally))
        server.process.wait(40)
    tally.inner += sum(record["id"].startswith("inner-") for record in server.records())
    if server.stop() != 0:
        tally.faults.append("the server did not end with 0")


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--program", default=sc.BIN / "qwen3")
parser.add_argument("--proxies", nargs="*", choices=("nginx", "haproxy"), default=[])
parser.add_argument("--tries", type=int, default=10_000, help="through the proxies, all together")
parser.add_argument("--seed", type=int, default=1)
options = parser.parse_args()
begin, total = time.monotonic(), Tally()
with tempfile.TemporaryDirectory() as scratch:
    for with_keys in (False, True):
        run(options, with_keys, scratch, total)
for fault in total.faults[:20]:
    print("  " + fault)
if len(total.faults) > 20:
    print(f"  and {len(total.faults) - 20} more")
# A storm whose victim is never served shows nothing.
starved = options.proxies and total.owned < total.refused
if starved:
    print("  the victim was refused more often than served")
tries = ", ".join(f"{n} {name}" for name, n in total.tries.items())
statuses = ", ".join(f"{status}: {n}" for status, n in sorted(total.statuses.items()))
print(f"{sum(total.tries.values())} tries ({tries}; statuses {statuses}), {total.owned} answers of the victim its "
      f"own and {total.refused} refused: {len(total.faults)} faults, {total.inner} inner requests begun, "
      f"{time.monotonic() - begin:.0f} s")
sys.exit(1 if total.faults or total.inner or starved else 0)
