#!/usr/bin/env python3
"""Faults that the server once had, each as the smallest check that shows it against a running program.
They come back one by one: run it against an old program and they are reported, against a new one none.

    script/build release qwen3
    bench/server_faults.py [--program build/release/bin/qwen3] [--only NAME] [--list]
"""
import argparse
import asyncio
import contextlib
import json
import multiprocessing
import shutil
import signal
import socket
import subprocess
import time
import traceback

import hostile_bodies
import refused_requests as refused
import server_client as sc

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--program", default=sc.BIN / "qwen3")
parser.add_argument("--only", help="a part of a check's name")
parser.add_argument("--list", action="store_true", help="name the checks")
options = parser.parse_args()

CHAT = "/v1/chat/completions"
MOE = sc.ROOT / "models/nano-moe"
CHECKS = []


class Skipped(Exception):
    pass


def check(function):
    """A check says what is wrong, in a list of sentences; an empty one is right."""
    CHECKS.append(function)
    return function


@contextlib.contextmanager
def serve(*more, model="nano", launcher=()):
    server = sc.qwen3_serve("-m", model, *more, program=options.program, launcher=launcher)
    try:
        yield server
    finally:
        if server.alive():
            server.process.kill()
        server.process.wait()


def ask(server, body, headers=(), path=CHAT, method="POST"):
    return asyncio.run(sc.call(server.port, method, path, body, headers))


def chat(text="Hi", **more):
    return {"messages": [{"role": "user", "content": text}], "temperature": 0, **more}


def raw(port, *pieces, seconds=1.0):
    """All bytes that come back; the pieces go out apart."""
    got = b""
    with socket.create_connection(("127.0.0.1", port), 10) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for index, piece in enumerate(pieces):
            if index > 0:
                time.sleep(0.1)
            sock.sendall(piece)
        sock.settimeout(seconds)
        with contextlib.suppress(OSError):
            while piece := sock.recv(1 << 16):
                got += piece
    return got


TOOL = {"type": "function", "function": {"name": "final_result", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"]}}}
WEATHER = {"type": "function", "function": {"name": "get_weather", "description": "Weather of a city", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}
NO_THINKING = {"chat_template_kwargs": {"enable_thinking": False}}


# ---- framing --------------------------------------------------------------------------------------

@check
def body_of_a_refused_request_is_carried_out():
    wrong = []
    with serve("--allow-host", refused.SERVER_NAME, "--max-body", 1) as server:
        for index, (reason, framing) in enumerate(refused.combinations(keyed=False)):
            got = raw(server.port, refused.make(reason, framing, index, inner_tokens=1), seconds=0.2)
            if f"inner-{index}".encode() in got:
                wrong.append(f"{reason.name}, {framing}: the inner request was answered")
        begun = sum(record["id"].startswith("inner-") for record in server.records())
        if begun:
            wrong.append(f"the log shows {begun} inner requests")
    return wrong


@check
def line_breaks_before_a_request_count_by_arrival():
    with serve() as server:
        request = f"GET /health HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nConnection: close\r\n\r\n".encode()
        wrong = []
        for breaks in (b"\r\n", b"\r\n\r\n", b"\r\n\r\n\r\n"):
            at_once = raw(server.port, breaks + request)[:12]
            apart = raw(server.port, *[breaks[i:i + 2] for i in range(0, len(breaks), 2)], request)[:12]
            if at_once != apart:
                wrong.append(f"{len(breaks) // 2} line breaks: {at_once!r} at once, {apart!r} in pieces")
        return wrong


@check
def host_names_depend_on_their_case():
    wrong = []
    with serve("--allow-host", "LLM.example.org") as server:
        for host in ("LLM.example.org", "llm.example.org", "LLM.EXAMPLE.ORG", f"LocalHost:{server.port}"):
            status = raw(server.port, f"GET /v1/models HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())[9:12]
            if status != b"200":
                wrong.append(f"Host: {host}: {status.decode()}")
        if raw(server.port, b"GET /v1/models HTTP/1.1\r\nHost: evil.example\r\n\r\n", seconds=0.2)[9:12] != b"421":
            wrong.append("Host: evil.example: not refused, so nothing was tried")
    return wrong


# ---- memory and time ------------------------------------------------------------------------------

def flood(server, body, n, seconds, each=None):
    """n connections that send these bytes as a body; what `each` says meanwhile."""
    async def one():
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.TimeoutError):
            await asyncio.wait_for(sc.call(server.port, "POST", CHAT, body), seconds)

    async def run():
        said, end = [], time.monotonic() + seconds
        tasks = [asyncio.create_task(one()) for _ in range(n)]
        while time.monotonic() < end and not all(task.done() for task in tasks):
            said.append(await each() if each else server.anonymous_mib())
            await asyncio.sleep(0.02)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return said

    return asyncio.run(run())


@check
def one_body_unfolds_beyond_the_memory_limit():
    with serve("--memory-limit", "150M", "--no-access-log") as server:
        peak = max(flood(server, hostile_bodies.tool_calls(50_000), 4, 20), default=0)
        return [f"{peak:.0f} MiB, limit 150 + 5 %"] if peak > 157.5 else []


@check
def held_bodies_exceed_the_memory_limit():
    with serve("--memory-limit", "150M", "--no-access-log") as server:
        head = f"POST {CHAT} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Type: application/json\r\n" \
               f"Content-Length: {4 << 20}\r\n\r\n".encode()
        sockets, peak = [], 0
        for _ in range(60):
            sock = socket.create_connection(("127.0.0.1", server.port))
            sock.settimeout(0.2)
            sockets.append(sock)
            with contextlib.suppress(OSError):
                sock.sendall(head + b" " * ((4 << 20) - 1))
            peak = max(peak, server.anonymous_mib())
        for sock in sockets:
            sock.close()
        return [f"{peak:.0f} MiB, limit 150 + 5 %"] if peak > 157.5 else []


@check
def out_of_memory_ends_the_process():
    if not shutil.which("prlimit"):
        raise Skipped("prlimit is not installed")
    wrong = []
    for mib in (600, 520):
        with serve("--memory-limit", "150M", "--no-access-log", launcher=("prlimit", f"--as={mib << 20}")) as server:
            for _ in range(6):
                flood(server, hostile_bodies.tool_calls(45_000), 3, 15, each=nothing)
                if not server.alive():
                    break
            if not server.alive():
                wrong.append(f"with {mib} MiB of address space: exit code {server.process.returncode}")
            elif ask(server, chat(max_tokens=1)).status != 200:
                wrong.append(f"with {mib} MiB of address space: no answer afterwards")
    return wrong


async def nothing():
    return None


@check
def large_bodies_stall_small_chats():
    with serve("--no-access-log") as server:
        async def small():
            begin = time.monotonic()
            await sc.call(server.port, "POST", CHAT, chat(max_tokens=1))
            return 1e3 * (time.monotonic() - begin)

        # The attacker is a process of its own: what it takes to send is not the server's delay.
        attacker = multiprocessing.Process(target=flood, args=(server, hostile_bodies.tool_calls(50_000), 32, 30))
        attacker.start()
        took = []
        while attacker.is_alive():
            took.append(asyncio.run(small()))
        attacker.join()
        # A chat that waits keeps the next ones from being sent: the median over time, not over chats.
        median = sc.percentile([ms for ms in took for _ in range(1 + int(ms / 20))], 0.5)
        return [f"a small chat takes {median:.0f} ms, bar 50"] if median > 50 else []


# ---- operation ------------------------------------------------------------------------------------

def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@check
def unread_stderr_stops_the_server():
    port = free_port()
    process = subprocess.Popen([options.program, "serve", "-m", "nano", "--host", "127.0.0.1", "--port", str(port)],
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    wrong = []
    try:
        request = f"GET /health HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
        time.sleep(2)
        with socket.create_connection(("127.0.0.1", port), 5) as probe:
            probe.sendall(request)
            probe.recv(4096)
        answered = 0
        with contextlib.suppress(OSError):
            for _ in range(1500):
                answered += health_once(port, request)
        if answered < 1500:
            wrong.append(f"after {answered} requests no answer within 3 s")
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            wrong.append("SIGTERM does not end it within 10 s")
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
    return wrong


def health_once(port, request):
    with socket.create_connection(("127.0.0.1", port), 3) as sock:
        sock.sendall(request)
        return sock.recv(4096).startswith(b"HTTP/1.1 200")


@check
def pause_is_taken_for_a_stalled_step():
    with serve("--step-seconds", 2, "--max-sequences", 8) as server:
        async def run():
            body = {"prompt": "Count.", "max_tokens": 1500, "ignore_eos": True, "loop_guard": False, "temperature": 0}
            tasks = [asyncio.create_task(sc.stream(server.port, "/v1/completions", body)) for _ in range(8)]
            await asyncio.sleep(0.5)
            server.process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(6)
            server.process.send_signal(signal.SIGCONT)
            return await asyncio.gather(*tasks, return_exceptions=True)

        ends = asyncio.run(run())
        lost = [end for end in ends if isinstance(end, Exception)]
        wrong = [f"{len(lost)} of {len(ends)} answers lost: {lost[0]!r}"] if lost else []
        if not server.alive():
            wrong.append(f"exit code {server.process.returncode}")
        return wrong


@check
def hangup_cuts_answers():
    with serve("--drain-seconds", 1) as server:
        async def run():
            body = {"prompt": "Count.", "max_tokens": 1500, "ignore_eos": True, "loop_guard": False, "stream": True}
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(sc.request_bytes(server.port, "POST", "/v1/completions", body))
            await reader.readuntil(b"data: ")
            server.process.send_signal(signal.SIGHUP)
            with contextlib.suppress(ConnectionError):
                return await asyncio.wait_for(reader.read(-1), 30)
            return b""

        end = asyncio.run(run())
        return [] if b"[DONE]" in end or b'"error"' in end else [f"the stream ends without a last event: {end[-60:]!r}"]


# ---- what the API promises ------------------------------------------------------------------------

def kept_or_said(choice, names):
    """Whether an answer has calls of these functions with objects as arguments, or says that it has none."""
    calls = [call["function"] for call in choice["message"].get("tool_calls") or []]
    if not calls:
        return choice["finish_reason"] == "length" or choice.get("finish_detail") == "tool_call_invalid"
    try:
        return all(call["name"] in names and isinstance(json.loads(call["arguments"]), dict) for call in calls)
    except ValueError:
        return False


@check
def required_call_is_none_or_of_an_unknown_function():
    wrong = []
    with serve(model="nano-moe") as server:
        for text in ("What is the weather in Paris?", "What is 12 + 30?", "Send Tom a message.", "Hi"):
            for stated in ({}, NO_THINKING):
                answer = ask(server, chat(text, tools=[TOOL], tool_choice="required", max_tokens=200, **stated))
                choice = answer.json()["choices"][0] if answer.status == 200 else {"message": {}, "finish_reason": ""}
                if not kept_or_said(choice, {"final_result"}):
                    wrong.append(f"{text} {stated}: {answer.status} {json.dumps(choice)[:120]}")
    return wrong


@check
def arguments_of_a_named_call_are_no_object():
    wrong = []
    named = {"type": "function", "function": {"name": "final_result"}}
    with serve(model="nano-moe") as server:
        for text in ("What is the weather in Paris?", "What is 12 + 30?", "Hi"):
            answer = ask(server, chat(text, tools=[TOOL], tool_choice=named, max_tokens=200, **NO_THINKING)).json()
            if not kept_or_said(answer["choices"][0], {"final_result"}):
                wrong.append(f"{text}: {json.dumps(answer['choices'][0])[:120]}")
    return wrong


def streamed_content(server, body):
    async def run():
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        try:
            writer.write(sc.request_bytes(server.port, "POST", CHAT, {**body, "stream": True}))
            await sc.read_head(reader)
            deltas = [json.loads(data)["choices"] async for data in sc.events(reader)]
            return "".join(choice["delta"].get("content") or "" for choices in deltas for choice in choices)
        finally:
            writer.close()
    return asyncio.run(run())


@check
def call_that_is_cut_short_is_shown_as_text():
    wrong = []
    with serve(model="nano-moe") as server:
        for choice in ("auto", "required"):
            for n in (1, 4, 7, 10, 13, 16):
                body = chat("What is the weather in Paris?", tools=[WEATHER], tool_choice=choice, max_tokens=n, **NO_THINKING)
                whole = ask(server, body).json()["choices"][0]["message"]["content"] or ""
                for way, text in (("whole", whole), ("streamed", streamed_content(server, body))):
                    if "tool_call" in text or text.startswith("<"):
                        wrong.append(f"{choice}, {n} tokens, {way}: {text[:40]!r}")
    return wrong


@check
def required_call_switches_thinking_off():
    with serve(model="nano-moe") as server:
        body = chat("What is the weather in Paris?", tools=[WEATHER], max_tokens=400,
                    chat_template_kwargs={"enable_thinking": True})
        free = ask(server, body).json()["choices"][0]["message"].get("reasoning_content")
        if not free:
            raise Skipped("the model does not think even without a forced call")
        forced = ask(server, {**body, "tool_choice": "required"}).json()["choices"][0]["message"]
        return [] if forced.get("reasoning_content") else ["no reasoning_content"]


@check
def messages_show_paths_of_the_server():
    wrong = []
    call = {"id": "c", "type": "function", "function": {"name": "get_weather"}}
    history = [{"role": "user", "content": "a"}, {"role": "assistant", "content": None, "tool_calls": [call]}]
    with serve(model=str(MOE)) as server:
        for name, body in (("a call without arguments", {"messages": history}),
                           ("a text of 4 MiB", json.loads(hostile_bodies.chat_of("a" * 4_000_000))),
                           ("120,000 messages", {"messages": [{"role": "user", "content": ""}] * 120_000})):
            answer = ask(server, body)
            error = answer.json().get("error", {})
            if str(sc.ROOT) in error.get("message", "") or ".jinja" in error.get("message", ""):
                wrong.append(f"{name}: {error['message'][:120]}")
            if name == "a call without arguments" and answer.status == 400 and not error.get("param"):
                wrong.append(f"{name}: the field is not named")
    return wrong


@check
def stop_string_matches_inside_a_tag():
    wrong = []
    with serve(model="nano-moe") as server:
        for stop in ("t", "think", "<"):
            message = ask(server, chat("What is 12 + 30?", stop=stop, max_tokens=200)).json()["choices"][0]["message"]
            if "<" in (message["content"] or "") or not (message["content"] or message.get("reasoning_content")):
                wrong.append(f"stop {stop!r}: content {message['content']!r}")
    return wrong


@check
def uncached_prompts_are_shared_by_request_id():
    with serve() as server:
        body = {"prompt": sc.words(sc.seeded(1), 600), "max_tokens": 1, "cache_prompt": False}
        for _ in range(2):
            usage = ask(server, body, ["X-Request-Id: same"], "/v1/completions").json()["usage"]
        cached = usage["prompt_tokens_details"]["cached_tokens"]
        return [f"{cached} tokens came from the cache"] if cached else []


@check
def listed_trace_cannot_be_fetched():
    with serve("--traces", 4) as server:
        for text in ("One", "Two"):
            ask(server, chat(text, max_tokens=1, trace=True), ["X-Request-Id: same"])
        ids = [trace["id"] for trace in ask(server, None, path="/v1/traces", method="GET").json()["data"]]
        found = [one for one in ids if ask(server, None, path=f"/v1/traces/{one}", method="GET").status == 200]
        return [] if ids and len(set(ids)) == len(ids) == len(found) else [f"listed {ids}, fetched {found}"]


def run(function):
    """"ok", "FAULT" or "skipped", and why."""
    try:
        wrong = function()
    except Skipped as reason:
        return "skipped", [str(reason)]
    except (Exception, SystemExit):  # a check that cannot be carried out is a finding too
        return "FAULT", [traceback.format_exc(limit=-2).strip().splitlines()[-1]]
    return ("FAULT", wrong) if wrong else ("ok", [])


chosen = [one for one in CHECKS if not options.only or options.only in one.__name__.replace("_", " ")]
counts = {"ok": 0, "FAULT": 0, "skipped": 0}
for one in chosen:
    name = one.__name__.replace("_", " ")
    if options.list:
        print(name)
        continue
    verdict, reasons = run(one)
    counts[verdict] += 1
    print(f"{verdict:<8}{name}" + (": " + "; ".join(reasons[:3]) if reasons else "")
          + (f"; and {len(reasons) - 3} more" if len(reasons) > 3 else ""), flush=True)
if not options.list:
    print(f"{len(chosen)} checks: {counts['ok']} ok, {counts['FAULT']} faults, {counts['skipped']} skipped")
    raise SystemExit(1 if counts["FAULT"] or not counts["ok"] else 0)
