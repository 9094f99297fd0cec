#!/usr/bin/env python3
"""`qwen3 serve` whose address space is closed behind it, with some MiB of room or none, when it is
ready: large requests (thousands of small objects in one body), alone and at once, beside a
small chat. Each is answered, or its connection closed; the server goes on, and as soon as it may have
memory again the next small chat gets its 200. A limit that is there at the start would not do: the
server plans with it, and refuses what would not fit.

    script/build release qwen3
    bench/server_out_of_memory.py [--most-room 96] [--step 8]
"""
import argparse
import collections
import concurrent.futures
import http.client
import json
import resource
from pathlib import Path

import server_client as sc

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--most-room", type=int, default=96, help="MiB")
parser.add_argument("--step", type=int, default=8)
parser.add_argument("--calls", type=int, default=8_000, help="tool calls in one body: a longer one is refused unread")
parser.add_argument("--at-once", type=int, default=4)
options = parser.parse_args()

SMALL = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
LARGE = {"messages": [{"role": "user", "content": "x"},
                      {"role": "assistant", "tool_calls": [CALL] * options.calls},
                      {"role": "user", "content": "y"}], "max_tokens": 2}


def ask(port, body):
    """The status; "closed" when the server closes or has no memory for the connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(body, separators=(",", ":")),
                           {"content-type": "application/json"})
        return connection.getresponse().status
    except (ConnectionError, http.client.HTTPException):
        return "closed"
    finally:
        connection.close()


def close_behind(pid, room_mib):
    """No more address space than it has now, and this much."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[0])
    resource.prlimit(pid, resource.RLIMIT_AS,
                     (pages * resource.getpagesize() + (room_mib << 20), resource.RLIM_INFINITY))


def ask_at_once(port, n_large):
    with concurrent.futures.ThreadPoolExecutor(n_large + 1) as pool:
        large = [pool.submit(ask, port, LARGE) for _ in range(n_large)]
        beside = pool.submit(ask, port, SMALL)
        return [one.result() for one in [*large, beside]]


def run_with(room_mib):
    """What came of the requests."""
    server = sc.Server([sc.BIN / "qwen3", "serve", "-m", "nano", "--port", "0", "--host", "127.0.0.1",
                        "--kv-cache-size", "8M", "--memory-limit", "4G"])
    ask(server.port, SMALL)
    statuses = collections.Counter()
    for n_large in [1, options.at_once]:
        close_behind(server.pid, room_mib)
        statuses.update(ask_at_once(server.port, n_large))
        if server.alive():
            resource.prlimit(server.pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
        if not server.alive() or ask(server.port, SMALL) != 200:
            state = "does not answer" if server.alive() else "has ended"
            raise SystemExit(f"{room_mib} MiB: the server {state} after {dict(statuses)}\n{server.log()[-2000:]}")
    close_behind(server.pid, room_mib)  # and so it ends
    if (code := server.stop()) != 0:
        raise SystemExit(f"{room_mib} MiB: exit code {code} at its stop")
    return statuses


total = collections.Counter()
for room in range(0, options.most_room + 1, options.step):
    came = run_with(room)
    total.update(came)
    print(f"{room} MiB:", ", ".join(f"{status} x{n}" for status, n in sorted(came.items(), key=str)), flush=True)
if not total[503] and not total["closed"]:
    raise SystemExit("memory never ran out: nothing was tested")
print("alive with every room")
