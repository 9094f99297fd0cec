#!/usr/bin/env python3
"""Two replicas behind a real balancer with the configuration of examples/replicas, and what operators do to them:

  drain    SIGTERM to one of two under load: none of 1,000 requests fails, streams that run are finished
  restart  it comes back: with HAProxy it gets less at first (slow start) than later
  kill     kill -9 of one under load: none of 1,000 requests fails, of the streams only its own break
  full     queues that are full: 429 with Retry-After reaches the client
  delay    events of a stream: the balancer adds at most 5 ms to their 99th percentile

    tests/replicas/replicas.py --balancer haproxy [--program build/release/bin/qwen3] [--requests 1000] [--only drain …]

script/test-replicas installs the balancers. Traffic stays on loopback and ends by itself.
"""
import argparse
import asyncio
import collections
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))
from server_client import free_ports  # noqa: E402

CONFIGS = ROOT / "examples/replicas"
STREAMS = 8
EVENTS, GAP = 1500, 0.004
ADDED = 0.005


def wait_until(what, condition, process, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        if process.poll() is not None or time.monotonic() > end:
            process.kill()
            raise SystemExit(f"{what}: not there after {seconds} s, or ended ({process.poll()})")
        time.sleep(0.05)


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Balancer:
    """HAProxy or nginx with the shipped configuration; nothing but the addresses is changed."""

    def __init__(self, name, backends):
        self.name = name
        self.folder = tempfile.TemporaryDirectory(prefix=f"replicas-{name}-")
        self.port = free_ports(1)[0]
        config, check, command, env = getattr(self, f"_{name}")(Path(self.folder.name), backends)
        subprocess.run(check, check=True, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=env)
        wait_until(f"{name} with {config}", lambda: listens(self.port), self.process, 20)

    def _haproxy(self, _, backends):
        config = CONFIGS / "haproxy.cfg"
        addresses = [f"127.0.0.1:{port}" for port in (self.port, *backends)]
        env = dict(os.environ, **dict(zip(("QWEN3_BIND", "QWEN3_A", "QWEN3_B"), addresses)))
        return config, ["haproxy", "-c", "-f", config], ["haproxy", "-q", "-db", "-f", config], env

    def _nginx(self, folder, backends):
        text = (CONFIGS / "nginx.conf").read_text()
        for shipped, port in zip((8000, 8001, 8002), (self.port, *backends)):
            assert f"127.0.0.1:{shipped}" in text
            text = text.replace(f"127.0.0.1:{shipped}", f"127.0.0.1:@{port}")
        paths = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in
                         ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        config = folder / "nginx.conf"
        config.write_text(f"""daemon off; {"user root;" if os.geteuid() == 0 else ""} worker_processes 1;
pid {folder}/pid; error_log {folder}/log error; events {{ worker_connections 1024; }}
http {{ access_log off; {paths} {text.replace("@", "")} }}""")
        command = ["nginx", "-p", str(folder), "-c", str(config)]
        return config, [*command, "-t"], command, dict(os.environ)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.folder.cleanup()


class Replica:
    """qwen3 serve on a port of its own. `name` is what its answers' ids begin with."""

    def __init__(self, program, port, options=()):
        self.log = tempfile.NamedTemporaryFile(prefix="replica-", suffix=".log")
        self.port = port
        self.process = subprocess.Popen(
            [program, "serve", "-m", "nano", "--host", "127.0.0.1", "--port", str(port), "--allow-host", "balancer",
             "--drain-seconds", "240", *options], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.log)
        wait_until("a replica", lambda: b"ready: " in Path(self.log.name).read_bytes(), self.process)
        answer = asyncio.run(ask(port, {"max_tokens": 1}))
        self.name = owner(answer)

    def served(self):
        return sum(b'"path":"/v1/completions"' in line for line in Path(self.log.name).read_bytes().splitlines())

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(300)

    def stop(self):
        if self.process.poll() is None:
            self.end(signal.SIGKILL)


class Answer:
    def __init__(self, data):
        self.status = int(match[1]) if (match := re.match(rb"HTTP/1\.1 (\d{3}) ", data)) else 0
        self.text = data.decode(errors="replace")
        self.is_finished = '"finish_reason":"length"' in self.text and '"error"' not in self.text

    def __repr__(self):
        return f"{self.status} {self.text[-300:]!r}"


def owner(answer):
    found = re.search(r'"id":"cmpl-(req-[0-9a-f]+)-', answer.text)
    return found[1] if found else None


async def ask(port, fields, seconds=300):
    """One completion over a connection of its own; what came, whole or not."""
    body = json.dumps({"prompt": "Hello", "temperature": 0, "ignore_eos": True, "loop_guard": False, **fields}).encode()
    data = b""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
        writer.write(b"POST /v1/completions HTTP/1.1\r\nHost: balancer\r\nConnection: close\r\n"
                     b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        end = time.monotonic() + seconds
        while piece := await asyncio.wait_for(reader.read(1 << 16), end - time.monotonic()):
            data += piece
        writer.close()
    except (OSError, asyncio.TimeoutError) as error:
        return Answer(data + f"\n{error!r}".encode())
    return Answer(data)


class Load:
    """Short requests from eight clients, one after the other, until `n` are done."""

    def __init__(self, port, n):
        self.port, self.left, self.n_done, self.failures = port, n, 0, []

    async def run(self):
        await asyncio.gather(*(self._client() for _ in range(8)))

    async def _client(self):
        while self.left > 0:
            self.left -= 1
            answer = await ask(self.port, {"max_tokens": 4})
            self.n_done += 1
            if answer.status != 200 or not answer.is_finished:
                self.failures.append(answer)

    async def reach(self, n):
        while self.n_done < n:
            await asyncio.sleep(0.01)


async def under_load(port, n, act):
    """Streams that outlast what is done, and short requests around it; the load and the streams' answers."""
    streams = [asyncio.create_task(ask(port, {"max_tokens": 1500, "stream": True})) for _ in range(STREAMS)]
    await asyncio.sleep(0.5)
    load = Load(port, n)
    running = asyncio.create_task(load.run())
    await load.reach(n // 4)
    await asyncio.to_thread(act)
    await running
    return load, await asyncio.gather(*streams)


class Lab:
    def __init__(self, options):
        self.options, self.faults = options, []
        self.ports = free_ports(2)
        self.replicas = [Replica(options.program, port) for port in self.ports]
        self.balancer = Balancer(options.balancer, self.ports)

    def close(self):
        self.balancer.stop()
        for replica in self.replicas:
            replica.stop()

    def expect(self, holds, what):
        print(f"  {'ok  ' if holds else 'FAIL'} {what}", flush=True)
        if not holds:
            self.faults.append(what)

    def expect_all_answered(self, load):
        self.expect(not load.failures, f"{len(load.failures)} of {load.n_done} requests failed {load.failures[:2] or ''}")

    def restart(self, i, *options):
        self.replicas[i].stop()
        self.replicas[i] = Replica(self.options.program, self.ports[i], options)

    def wait_for_both(self):
        """Until the balancer uses both: short requests are answered by two."""
        end = time.monotonic() + 30
        while time.monotonic() < end:
            answers = [asyncio.run(ask(self.balancer.port, {"max_tokens": 1})) for _ in range(4)]
            if len({owner(answer) for answer in answers} - {None}) == 2:
                return
        raise SystemExit("the balancer does not use both replicas")

    # ---- the parts, in this order ----

    def drain(self):
        gone = []
        load, streams = asyncio.run(under_load(self.balancer.port, self.options.requests,
                                               lambda: gone.append(self.replicas[0].end())))
        self.expect_all_answered(load)
        owners = collections.Counter(map(owner, streams))
        self.expect(owners[self.replicas[0].name] > 0, f"streams on the one that ended: {owners[self.replicas[0].name]}")
        finished = sum(stream.is_finished for stream in streams)
        self.expect(finished == STREAMS, f"{finished} of {STREAMS} streams finished "
                    f"{[stream for stream in streams if not stream.is_finished][:1] or ''}")
        self.expect(gone == [0], f"exit code {gone}")

    def restart_one(self):
        self.restart(0)
        a, b = self.replicas
        first = self._shares(a, b, 6)
        if self.options.balancer == "haproxy":
            time.sleep(16)
            later = self._shares(a, b, 6)
            self.expect(first + 0.1 < later, f"share of the new one at first {first:.2f}, later {later:.2f}")
        else:
            self.expect(first > 0, f"share of the new one {first:.2f}")

    def _shares(self, a, b, seconds):
        before = a.served(), b.served()
        load = Load(self.balancer.port, 1 << 30)

        async def for_a_time():
            running = asyncio.create_task(load.run())
            await asyncio.sleep(seconds)
            load.left = 0
            await running
        asyncio.run(for_a_time())
        self.expect_all_answered(load)
        time.sleep(0.3)
        n_a, n_b = a.served() - before[0], b.served() - before[1]
        return n_a / max(1, n_a + n_b)

    def kill(self):
        self.wait_for_both()
        load, streams = asyncio.run(under_load(self.balancer.port, self.options.requests,
                                               lambda: self.replicas[1].end(signal.SIGKILL)))
        self.expect_all_answered(load)
        lost = self.replicas[1].name
        broken = [stream for stream in streams if not stream.is_finished]
        self.expect(0 < len(broken) < STREAMS, f"{len(broken)} of {STREAMS} streams broke")
        self.expect(all(owner(stream) == lost for stream in broken), "they were on the one that was killed")

    def full(self):
        for i in range(2):
            self.restart(i, "--max-sequences", "1", "--max-waiting", "1")
        self.wait_for_both()

        async def crowd():
            return await asyncio.gather(*(ask(self.balancer.port, {"max_tokens": 200}) for _ in range(32)))
        answers = asyncio.run(crowd())
        statuses = collections.Counter(answer.status for answer in answers)
        self.expect(set(statuses) == {200, 429}, f"statuses {dict(statuses)}")
        told = sum("retry-after:" in answer.text.lower() for answer in answers if answer.status == 429)
        self.expect(told == statuses[429], f"{told} of {statuses[429]} 429s say Retry-After")


# ---- delay: an origin whose events say when they left -------------------------------------------------

ORIGIN = """
import asyncio, sys, time
async def serve(reader, writer):
    head = await reader.readuntil(b"\\r\\n\\r\\n")
    events = b"/events" in head.split(b"\\r\\n")[0]
    writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Type: text/event-stream\\r\\n"
                 + (b"Transfer-Encoding: chunked" if events else b"Content-Length: 0") + b"\\r\\nConnection: close\\r\\n\\r\\n")
    for _ in range({events} if events else 0):
        await asyncio.sleep({gap})
        line = b"data: %d\\n\\n" % time.monotonic_ns()
        writer.write(b"%x\\r\\n%s\\r\\n" % (len(line), line))
        await writer.drain()
    if events: writer.write(b"0\\r\\n\\r\\n")
    await writer.drain()
    writer.close()
async def main():
    await asyncio.gather(*[(await asyncio.start_server(serve, "127.0.0.1", int(p))).serve_forever() for p in sys.argv[1:]])
asyncio.run(main())
"""


async def delays(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /events HTTP/1.1\r\nHost: balancer\r\n\r\n")
    found = []
    while line := await reader.readline():
        if line.startswith(b"data: "):
            found.append(time.monotonic_ns() - int(line[6:]))
        if line == b"0\r\n":
            break
    writer.close()
    return sorted(found)


def measure_delay(options, faults):
    ports = free_ports(2)
    origin = subprocess.Popen([sys.executable, "-c", ORIGIN.format(events=EVENTS, gap=GAP), *map(str, ports)],
                              stderr=subprocess.DEVNULL)
    wait_until("the origin", lambda: all(map(listens, ports)), origin)
    balancer = Balancer(options.balancer, ports)
    try:
        added = []
        for _ in range(5):  # a busy machine only ever adds
            async def both():
                return await asyncio.gather(delays(ports[0]), delays(balancer.port))
            direct, through = asyncio.run(both())
            assert len(direct) == len(through) == EVENTS, (len(direct), len(through))
            added.append((through[EVENTS * 99 // 100] - direct[EVENTS * 99 // 100]) / 1e9)
            if added[-1] <= ADDED:
                break
        holds = added[-1] <= ADDED
        print(f"  {'ok  ' if holds else 'FAIL'} p99 of an event's delay: {added[-1] * 1e3:+.2f} ms (of {len(added)} tries)")
        if not holds:
            faults.append("delay")
    finally:
        balancer.stop()
        origin.kill()
        origin.wait()


PARTS = {"drain": Lab.drain, "restart": Lab.restart_one, "kill": Lab.kill, "full": Lab.full}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--balancer", choices=["haproxy", "nginx"], required=True)
    parser.add_argument("--program", default=ROOT / "build/release/bin/qwen3")
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--only", nargs="+", choices=[*PARTS, "delay"], default=[*PARTS, "delay"])
    options = parser.parse_args()
    faults = []
    if set(options.only) - {"delay"}:
        lab = Lab(options)
        try:
            for name, part in PARTS.items():
                if name in options.only:
                    print(f"{options.balancer} {name}", flush=True)
                    part(lab)
        finally:
            lab.close()
        faults += lab.faults
    if "delay" in options.only:
        print(f"{options.balancer} delay")
        measure_delay(options, faults)
    print(f"{options.balancer}: {len(faults)} faults")
    return len(faults) > 0


if __name__ == "__main__":
    sys.exit(main())
