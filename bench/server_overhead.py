#!/usr/bin/env python3
"""What the whole server costs for a streamed token: processor time of mock_server, its sockets and
system calls included, less the mock model's own, divided by the tokens.

    script/build release mock_server
    bench/server_overhead.py [--streams 64] [--tokens 500] [--step-us 10000]
"""
import argparse
import asyncio

import server_client as sc

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--streams", type=int, default=64)
parser.add_argument("--tokens", type=int, default=500)
parser.add_argument("--step-us", type=int, default=10_000, help="one token of every stream")
options = parser.parse_args()


async def load(port):
    """The streams at once. The bytes are counted, not understood: a client that is slower than the
    server would change what is measured."""
    body = {"messages": [{"role": "user", "content": "Hi"}], "temperature": 0, "stream": True,
            "max_tokens": options.tokens, "ignore_eos": True}

    async def one():
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sc.request_bytes(port, "POST", "/v1/chat/completions", body))
        n_events = 0
        while piece := await reader.read(1 << 16):
            n_events += piece.count(b"data: {")
        writer.close()
        return n_events

    return sum(await asyncio.gather(*(one() for _ in range(options.streams))))


verdicts = sc.Verdicts()
server = sc.mock_server("--step-us", options.step_us, "--max-sequences", options.streams)
asyncio.run(load(server.port))  # warm
before = server.mock()["cpu"]
n_events = asyncio.run(load(server.port))
after = server.mock()["cpu"]
spent = {name: after[name] - before[name] for name in before}
n_tokens = options.streams * options.tokens
per_token = {name: 1e6 * seconds / n_tokens for name, seconds in spent.items()}
print(f"{options.streams} streams of {options.tokens} tokens, {n_events} events")
print(f"microseconds of processor time a token: {per_token['process']:.2f} in all, of them "
      f"{per_token['engine']:.2f} on the engine's thread, of these {per_token['model']:.2f} in the "
      "mock model")
verdicts.at_least("events", n_events, n_tokens)
verdicts.at_most("server without the model", per_token["process"] - per_token["model"], 20,
                 "us a token")
verdicts.equal("exit code", server.stop(), 0)
verdicts.exit()
