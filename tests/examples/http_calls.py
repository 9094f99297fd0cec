"""What the tests ask servers themselves, to compare."""
import json
import math
import urllib.request


def post(url: str, body: dict) -> dict:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=600) as reply:
        return json.load(reply)


def embeddings(url: str, texts: list[str]) -> list[list[float]]:
    reply = post(url + "/embeddings", {"input": texts})
    return [one["embedding"] for one in sorted(reply["data"], key=lambda one: one["index"])]


def cosine(a: list[float], b: list[float]) -> float:
    return math.sumprod(a, b) if hasattr(math, "sumprod") else sum(x * y for x, y in zip(a, b))
