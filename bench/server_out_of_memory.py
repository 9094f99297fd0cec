#!/usr/bin/env python3
"""`qwen3 serve` under limits on its address space, from one in which it barely starts: large requests
(tens of thousands of small objects in one body), alone and at once, beside a small chat. Each is
answered, or its connection closed; the server goes on, and the next small chat gets its 200. Without
--memory-limit the server believes in all the memory of the machine, and so runs out.

    script/build release qwen3
    bench/server_out_of_memory.py [--start 150] [--end 600] [--step 25] [-- --memory-limit 150M]
"""
import argparse
import collections
import concurrent.futures
import http.client
import json
import time

import server_client as sc

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--start", type=int, default=150, help="MiB of address space")
parser.add_argument("--end", type=int, default=600)
parser.add_argument("--step", type=int, default=25)
parser.add_argument("--calls", type=int, default=45_000, help="tool calls in one body")
parser.add_argument("--at-once", type=int, default=4)
parser.add_argument("serve", nargs="*", help="more options of qwen3 serve")
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


def goes_on(server, seconds=20):
    """Whether a small chat is answered; large requests may hold the memory for a while."""
    end = time.monotonic() + seconds
    while server.alive() and time.monotonic() < end:
        if ask(server.port, SMALL) == 200:
            return True
        time.sleep(0.1)
    return False


def run_under(mib):
    """What came of it, or what the server said where it did not start."""
    command = ["prlimit", f"--as={mib << 20}", sc.BIN / "qwen3", "serve", "-m", "nano", "--port", "0",
               "--host", "127.0.0.1", "--kv-cache-size", "8M", *options.serve]
    try:
        server = sc.Server(command)
    except SystemExit as problem:
        return str(problem).strip().splitlines()[-1]
    statuses = collections.Counter()
    with concurrent.futures.ThreadPoolExecutor(options.at_once + 1) as pool:
        for at_once in [1, 1, options.at_once]:
            large = [pool.submit(ask, server.port, LARGE) for _ in range(at_once)]
            beside = pool.submit(ask, server.port, SMALL)
            for one in [*large, beside]:
                statuses[one.result()] += 1
            if not goes_on(server):
                state = "does not answer" if server.alive() else "has ended"
                raise SystemExit(f"{mib} MiB: the server {state} after {dict(statuses)}\n{server.log()[-2000:]}")
    if (code := server.stop()) != 0:
        raise SystemExit(f"{mib} MiB: exit code {code} at its stop")
    return statuses


ran = 0
for mib in range(options.start, options.end + 1, options.step):
    came = run_under(mib)
    if isinstance(came, str):
        print(f"{mib} MiB: did not start: {came[:150]}")
        continue
    ran += 1
    print(f"{mib} MiB:", ", ".join(f"{status} x{n}" for status, n in sorted(came.items(), key=str)), flush=True)
if ran == 0:
    raise SystemExit("the server started under none of these limits")
print(f"alive under all {ran} limits")
