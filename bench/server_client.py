"""What the measurements of the server share: a server in a process of its own, HTTP/1.1 over asyncio
streams, percentiles, and verdicts. Python's standard library only.

A client in Python is slow: nothing here measures the client's own speed. Processor time of the server
is the kernel's count for its process (/proc), never a difference of wall times.
"""
import asyncio
import contextlib
import dataclasses
import http.client
import json
import os
import random
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(os.environ.get("QWEN3_BIN", ROOT / "build/release/bin"))  # the programs that are measured
NANO = ROOT / "models/nano"


def free_ports(n):
    """So many ports of loopback that nobody has."""
    sockets = [socket.socket() for _ in range(n)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


# ---- a server -------------------------------------------------------------------------------------

class Server:
    """A server that `command` starts on a free port; its stderr, log lines included, goes to a file."""

    def __init__(self, command, ready_seconds=120):
        self.log_path = tempfile.NamedTemporaryFile(prefix="server-", suffix=".log", delete=False).name
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                            stdout=subprocess.DEVNULL, stderr=log)
        self.pid = self.process.pid
        self.port = None
        end = time.monotonic() + ready_seconds
        while not self._ready():
            if self.process.poll() is not None or time.monotonic() > end:
                self.process.kill()
                raise SystemExit(f"{shlex.join(map(str, command))}: not ready\n" + self.log()[-2000:])
            time.sleep(0.05)

    def _ready(self):
        found = re.search(r"listening on http://127\.0\.0\.1:(\d+)", self.log())
        if not found:
            return False
        self.port = int(found[1])
        try:
            return self.get("/health")[0] == 200
        except ConnectionError:  # it ends, for a reason that is in its log
            return False

    def log(self):
        return Path(self.log_path).read_text(errors="replace")

    def alive(self):
        return self.process.poll() is None

    def stop(self):
        """SIGTERM; the exit code. What the server said last is shown when it is not 0."""
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        if code != 0:
            print(self.log()[-4000:])
        os.unlink(self.log_path)
        return code

    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def post(self, path, body):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        with contextlib.closing(connection):
            connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    def mock(self):
        """What mock_server's /mock tells."""
        return json.loads(self.get("/mock")[1])

    def metrics(self):
        """name or name{labels} -> value"""
        values = {}
        for line in self.get("/metrics")[1].decode().splitlines():
            if line and not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                values[name] = float(value)
        return values

    def idle(self, seconds=10):
        """Waits until nothing runs or waits; the metrics then."""
        end = time.monotonic() + seconds
        while True:
            metrics = self.metrics()
            busy = metrics["qwen3_num_requests_running"] + metrics["qwen3_num_requests_waiting"]
            if busy == 0 or time.monotonic() > end:
                return metrics
            time.sleep(0.02)

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_mib(self):
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def anonymous_mib(self):
        """Memory of the process that no file backs."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"RssAnon:\s+(\d+)", status)[1]) / 1024

    def records(self):
        """The lines of the access log."""
        return [json.loads(line) for line in self.log().splitlines() if line.startswith('{"time"')]

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def descriptors_over(self, before, seconds=5):
        """How many more are open than before, once connections that linger had time to go."""
        end = time.monotonic() + seconds
        while (over := self.descriptors() - before) > 0 and time.monotonic() < end:
            time.sleep(0.05)
        return over


def mock_server(*options):
    return Server([BIN / "mock_server", NANO, *map(str, options)])


def qwen3_serve(*options, program=None, launcher=()):
    """`launcher`: a command that starts another, such as prlimit."""
    return Server([*launcher, program or BIN / "qwen3", "serve", "--host", "127.0.0.1", "--port", "0",
                   "--metrics", *map(str, options)])


# ---- HTTP over asyncio ----------------------------------------------------------------------------

@dataclasses.dataclass
class Answer:
    status: int
    headers: dict
    body: bytes = b""
    seconds: float = 0.0

    def json(self):
        return json.loads(self.body)


def request_bytes(port, method, path, body=None, headers=()):
    """A whole request; a body that is no bytes goes as JSON."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Connection: close", *headers]
    if body is None:
        return ("\r\n".join(lines) + "\r\n\r\n").encode()
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


async def read_head(reader):
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head[:-4].split("\r\n")
    status = re.fullmatch(r"HTTP/1\.1 (\d{3}) .*", first)
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return Answer(int(status[1]), headers)


async def read_chunks(reader):
    while size := int(await reader.readline(), 16):
        yield (await reader.readexactly(size + 2))[:-2]
    await reader.readline()


async def read_answer(reader):
    """One answer; of a HEAD request none has a body, which the caller knows."""
    answer = await read_head(reader)
    if answer.headers.get("transfer-encoding") == "chunked":
        answer.body = b"".join([piece async for piece in read_chunks(reader)])
    else:
        answer.body = await reader.readexactly(int(answer.headers.get("content-length", 0)))
    return answer


async def call(port, method, path, body=None, headers=()):
    """One request on a connection of its own. The time runs from before the connection is made."""
    begin = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request_bytes(port, method, path, body, headers))
        answer = await read_answer(reader)
        answer.seconds = time.monotonic() - begin
        return answer
    finally:
        writer.close()


async def events(reader):
    """The data of server-sent events behind an answer's head, without [DONE]. A stream that ends
    without one raises."""
    pending = b""
    async for piece in read_chunks(reader):
        pending += piece
        while b"\n\n" in pending:
            event, pending = pending.split(b"\n\n", 1)
            if event == b"data: [DONE]":
                return
            if event.startswith(b"data: "):
                yield event[6:]
    raise EOFError("the stream ended without [DONE]")


@dataclasses.dataclass
class Streamed:
    text: str = ""
    n_events: int = 0
    first_seconds: float = 0.0  # from before the connection until the first piece of text
    seconds: float = 0.0
    usage: dict = None


async def stream(port, path, body):
    """A streamed answer to its end."""
    out = Streamed()
    begin = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request_bytes(port, "POST", path, {**body, "stream": True}))
        head = await read_head(reader)
        if head.status != 200:
            raise RuntimeError(f"{path}: status {head.status}")
        async for data in events(reader):
            chunk = json.loads(data)
            if "error" in chunk:
                raise RuntimeError(f"{path}: {chunk['error']['message']}")
            out.usage = chunk.get("usage") or out.usage
            for choice in chunk["choices"]:
                delta = choice.get("delta", choice)
                piece = (delta.get("reasoning_content") or "") + (delta.get("content") or "")
                out.text += piece or delta.get("text") or ""
            out.n_events += 1
            if out.text and not out.first_seconds:
                out.first_seconds = time.monotonic() - begin
        out.seconds = time.monotonic() - begin
        return out
    finally:
        writer.close()


# ---- numbers --------------------------------------------------------------------------------------

def percentile(values, share):
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def words(rng, n):
    """A text of about n tokens of the embedded tokenizer."""
    return " ".join(rng.choice(("sort", "seven", "the", "fox", "12", "and", "city", "plus"))
                    for _ in range(n))


def seeded(*parts):
    """A random generator for one thing of a run: the same parts, the same numbers."""
    return random.Random(":".join(map(str, parts)))


class Verdicts:
    """Prints one line for each bar, and remembers whether all were met."""

    def __init__(self):
        self.n_failed = 0

    def check(self, ok, what, figure, bar):
        self.n_failed += not ok
        print(f"{'PASS' if ok else 'FAIL'}  {what}: {figure} (bar {bar})", flush=True)

    def at_most(self, what, value, bar, unit=""):
        self.check(value <= bar, what, f"{value:.4g} {unit}".strip(), f"<= {bar:g} {unit}".strip())

    def at_least(self, what, value, bar, unit=""):
        self.check(value >= bar, what, f"{value:.4g} {unit}".strip(), f">= {bar:g} {unit}".strip())

    def equal(self, what, value, wanted):
        self.check(value == wanted, what, value, f"= {wanted}")

    def exit(self):
        print("all bars met" if self.n_failed == 0 else f"{self.n_failed} bars missed")
        sys.exit(1 if self.n_failed else 0)
