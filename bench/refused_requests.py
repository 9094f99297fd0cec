"""Requests that the server must refuse, whose body is itself a complete request: every reason to refuse
by the head, times every way to send a body. If the body of one is carried out, whoever shares the
connection (behind a proxy: another client) gets the answer.

Each request has an x-request-id of its own, which answers and the access log repeat: an id that begins
with "inner-" in either of them is the fault.
"""
import dataclasses
import json

SERVER_NAME = "server.example"  # the server is started with --allow-host of it
KEY = "k" * 40


@dataclasses.dataclass
class Reason:
    name: str
    status: int
    method: str = "POST"
    target: str = "/v1/chat/completions"
    host: str = SERVER_NAME
    content_type: str = "application/json"
    headers: tuple = ()
    keyed: bool = False  # the server asks for keys
    padding: int = 0     # bytes of the body after the inner request
    framings: tuple = ("length", "chunked", "expect", "pipelined")
    straight: bool = False  # not for a proxy, which refuses or rewrites it itself


PLAIN = ("length", "pipelined")
REASONS = [
    Reason("foreign Origin", 403, headers=("Origin: http://evil.example",), content_type="text/plain"),
    Reason("foreign Origin, JSON", 403, headers=("Origin: http://evil.example",)),
    Reason("Origin null", 403, headers=("Origin: null",), content_type="text/plain"),
    Reason("Sec-Fetch-Site", 403, headers=("Sec-Fetch-Site: cross-site",), content_type="text/plain"),
    Reason("foreign Host", 421, host="evil.example"),
    Reason("Host of another port", 421, host=SERVER_NAME + ":1"),
    Reason("target with two slashes", 404, target="//x"),
    Reason("target with a zero", 404, target="/%00"),
    Reason("target that is a star", 404, target="*"),
    Reason("unknown path", 404, target="/v1/nothing"),
    Reason("method", 405, method="PUT"),
    Reason("unknown method", 405, method="BREW"),
    Reason("body of a GET", 400, method="GET", target="/v1/models"),
    Reason("preflight", 403, method="OPTIONS",
           headers=("Origin: http://evil.example", "Access-Control-Request-Method: POST")),
    Reason("content type", 415, content_type="text/plain"),
    Reason("form", 415, content_type="multipart/form-data; boundary=x"),
    Reason("content encoding", 415, headers=("Content-Encoding: gzip",)),
    Reason("body too large", 413, padding=1 << 20, framings=PLAIN),
    Reason("many header lines", 431, headers=tuple(f"X-{i}: a" for i in range(70)), framings=PLAIN),
    Reason("other expectation", 417, headers=("Expect: something",), framings=PLAIN),
    Reason("body that is no JSON", 400),
    Reason("no key", 401, keyed=True),
    Reason("wrong key", 401, headers=("Authorization: Bearer wrong",), keyed=True),
    Reason("foreign Origin before the key", 403, headers=("Origin: http://evil.example",), keyed=True),
    Reason("foreign Host before the key", 421, host="evil.example", keyed=True),
    Reason("two slashes before the key", 404, target="//x", keyed=True),
]


def completion(name, prompt, max_tokens, headers=(), host=SERVER_NAME, content_type="application/json",
               method="POST", target="/v1/completions"):
    """A whole request for a completion that repeats its prompt."""
    body = json.dumps({"prompt": prompt, "echo": True, "max_tokens": max_tokens, "temperature": 0,
                       "ignore_eos": True}).encode()
    return head(method, target, host, [f"X-Request-Id: {name}", f"Content-Type: {content_type}",
                                       f"Content-Length: {len(body)}", *headers]) + body


def head(method, target, host, lines):
    return ("\r\n".join([f"{method} {target} HTTP/1.1", f"Host: {host}", *lines]) + "\r\n\r\n").encode()


def make(reason, framing, number, inner_tokens=40):
    """The bytes of the refused request, whose id is outer-NUMBER; pipelined: with an honest one after it.
    The inner request has a right key where keys are asked for."""
    credentials = (f"Authorization: Bearer {KEY}",) if reason.keyed else ()
    body = completion(f"inner-{number}", f"inner {number}", inner_tokens, credentials)
    body += b" " * reason.padding
    lines = [f"X-Request-Id: outer-{number}", f"Content-Type: {reason.content_type}", *reason.headers]
    if framing == "chunked":
        lines.append("Transfer-Encoding: chunked")
        body = b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n"
    else:
        lines.append(f"Content-Length: {len(body)}")
    if framing == "expect":
        lines.append("Expect: 100-continue")
    data = head(reason.method, reason.target, reason.host, lines) + body
    if framing == "pipelined":
        data += completion(f"outer-{number}-after", f"outer {number}", 1, credentials)
    return data


def combinations(keyed):
    return [(reason, framing) for reason in REASONS if reason.keyed == keyed for framing in reason.framings]
