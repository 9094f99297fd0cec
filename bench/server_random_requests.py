#!/usr/bin/env python3
"""Generated requests against `qwen3 serve`, none left out (bench/request_generator.py): no answer is
a 5xx but those that HTTP or the documentation prescribe (501, 505; 503), every error has OpenAI's form,
nothing hangs or crashes, the log stays JSON lines, a victim's answer stays the same to the byte, and
afterwards nothing is left running, no block and no descriptor lost.

    script/build release qwen3
    bench/server_random_requests.py [--requests 100000] [--seed 1]
    bench/server_random_requests.py --seed 1 --only 4711      # one of them again, with its answer
    bench/server_random_requests.py --model mock --control 50 # every 50th token is wrong: must be seen

Request number i depends on the seed and i alone.
"""
import argparse
import asyncio
import collections
import json
import time

import request_generator
import server_client as sc

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--requests", type=int, default=100_000)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--clients", type=int, default=16)
parser.add_argument("--model", default="nano", help="mock: mock_server, for slow builds")
parser.add_argument("--only", type=int, help="send this request alone and show it")
parser.add_argument("--patience", type=float, default=660,
                    help="seconds after which a request hangs; the server itself allows it 600")
parser.add_argument("--control", type=int, default=0, metavar="N",
                    help="seed a fault, every Nth token is wrong, and fail unless the victim sees it")
options = parser.parse_args()
if options.control and options.model != "mock":
    parser.error("--control: only --model mock can be wrong")

VICTIM = {"prompt": "Sort 7, 3 and 9.", "max_tokens": 24, "temperature": 0, "ignore_eos": True}
# 503 is said while draining and when memory or connections are short; 501 and 505 are HTTP's answers
# to a transfer coding or a version that a server does not have. Nothing else may be a 5xx.
ALLOWED_5XX = {501, 503, 505}


class Finding(Exception):
    pass


def check_answer(data, generated):
    """What an answer's bytes must be. Several answers may stand in them, when garbage looks like
    several requests: the first counts. Returns its status; 0 for a silent close."""
    if not data:
        return 0
    head, found, body = data.partition(b"\r\n\r\n")
    line = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
    if not found or len(line) != 3 or not line[0].startswith("HTTP/1.") or not line[1].isdigit():
        raise Finding(f"no HTTP answer: {data[:100]!r}")
    status = int(line[1])
    if status == 100:
        return check_answer(body, generated)
    if status >= 500 and status not in ALLOWED_5XX:
        raise Finding(f"status {status}: {body[:300]!r}")
    if body.startswith(b"HTTP/"):
        return status  # of a HEAD request: the next answer, not a body
    if status >= 400 and body and b"transfer-encoding: chunked" not in head.lower():
        error = json.loads(body)["error"]
        if set(error) != {"message", "type", "param", "code"} or not error["message"]:
            raise Finding(f"error of another form: {body[:300]!r}")
    # A stream that failed says so in its last event.
    if b"\"type\":\"server_error\"" in body:
        raise Finding(f"failed in mid-stream: {body[-300:]!r}")
    return status


async def send(port, generated):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(generated.data)
        if generated.leave == "close":
            return b""
        if generated.leave == "shut":
            writer.write_eof()
        return await reader.read(-1)
    except ConnectionError:
        return b""  # closed in our face, which a refusal may be
    finally:
        writer.close()


async def run_one(port, index):
    generated = request_generator.make(sc.seeded(options.seed, index), port)
    data = await asyncio.wait_for(send(port, generated), options.patience)
    return generated, check_answer(data, generated), data


async def storm(port, findings):
    statuses = collections.defaultdict(collections.Counter)
    indices = iter(range(options.requests))
    begin = time.monotonic()

    async def client():
        for index in indices:
            try:
                generated, status, _ = await run_one(port, index)
                statuses[generated.kind][status] += 1
            except asyncio.TimeoutError:
                findings.append((index, f"no end within {options.patience} s"))
            except (Finding, ValueError, KeyError, TypeError, OSError) as error:
                findings.append((index, str(error) or repr(error)))
            if (index + 1) % 10_000 == 0:
                print(f"  {index + 1} requests, {time.monotonic() - begin:.0f} s", flush=True)

    async def victim():
        while not over:
            answers.append((await sc.stream(port, "/v1/completions", VICTIM)).text)
            await asyncio.sleep(0.2)

    answers, over = [], False
    other = asyncio.create_task(victim())
    await asyncio.gather(*(client() for _ in range(options.clients)))
    over = True
    await other
    return statuses, answers


def check_log(server):
    """How many lines are no JSON object, and how often each status of 500 or more stands in it."""
    broken, failed = 0, collections.Counter()
    for line in server.log().splitlines():
        if line.startswith("{"):
            try:
                failed[json.loads(line)["status"]] += 1
            except (ValueError, KeyError):
                broken += 1
    return broken, {status: n for status, n in sorted(failed.items()) if status >= 500}


if options.model == "mock":
    server = sc.mock_server("--step-us", 1000, "--max-sequences", 16, "--context", 2048,
                            "--wrong-tokens", options.control)
else:
    server = sc.qwen3_serve("-m", options.model, "--max-sequences", 16)
if options.only is not None:
    generated = request_generator.make(sc.seeded(options.seed, options.only), server.port)
    print(generated)
    print(asyncio.run(send(server.port, generated)))
    print(server.log()[-2000:])
    raise SystemExit(server.stop())

wanted = server.post("/v1/completions", VICTIM)[1]["choices"][0]["text"]
before, files = server.idle(), server.descriptors()
findings = []
cpu = server.cpu_seconds()
statuses, answers = asyncio.run(storm(server.port, findings))
cpu = server.cpu_seconds() - cpu
for kind, counts in statuses.items():
    print(f"  {kind}: " + ", ".join(f"{status or 'closed'} {n}" for status, n in sorted(counts.items())))
for index, what in findings[:20]:
    print(f"  request {index}: {what}")
verdicts = sc.Verdicts()
verdicts.equal("requests answered wrongly", len(findings), 0)
verdicts.check(server.alive(), "the server lives", server.alive(), "True")
after = server.idle()
for name in ("qwen3_num_requests_running", "qwen3_num_requests_waiting", "qwen3_kv_cache_usage_perc"):
    verdicts.equal(name, after[name], before[name])
verdicts.at_most("descriptors left open", server.descriptors_over(files), 0)
same = sum(one == wanted for one in answers)
verdicts.check(same < len(answers) if options.control else same == len(answers) > 0, "the victim's answers",
               f"{same} of {len(answers)} the same", "fewer: a fault was seeded" if options.control else "all")
broken, failed = check_log(server)
verdicts.equal("broken lines of the log", broken, 0)
verdicts.check(set(failed) <= ALLOWED_5XX, "statuses of 500 and more in the log", failed,
               "501, 503 and 505 only")
print(f"  {1e3 * cpu / options.requests:.2f} ms of processor time a request; "
      f"resident {server.resident_mib():.0f} MiB")
verdicts.equal("exit code", server.stop(), 0)
print(f"total: {sum(n for counts in statuses.values() for n in counts.values())} requests executed, "
      f"{len(answers)} answers of the victim compared")
verdicts.exit()
