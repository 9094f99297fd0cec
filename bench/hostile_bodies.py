"""Bodies of requests that cost the server more than they cost the client."""
import json


def tool_calls(n):
    """A chat whose one assistant message has n calls: 67 bytes each."""
    call = {"id": "", "type": "function", "function": {"name": "a", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "tool_calls": [call] * n}
    return json.dumps({"messages": [{"role": "user", "content": "a"}, message]}, separators=(",", ":")).encode()


def chat_of(text):
    return json.dumps({"messages": [{"role": "user", "content": text}], "max_tokens": 1}).encode()


def wide(n):
    """A completion with n fields that nobody knows."""
    return b'{"prompt":"a",' + b",".join(b'"k%d":0' % i for i in range(n)) + b"}"


def costly_patterns(n):
    """Chats of 200 bytes, each held to a regular expression of its own, which takes all the states there are."""
    return [chat_held_to({"structured_outputs": {"regex": f"{i}(a|b)*a(a|b){{12}}"}}) for i in range(n)]


def large_grammars(n):
    """Chats held to 8,000 words each, no two the same."""
    return [chat_held_to({"grammar": "root ::= " + " | ".join(f'"word {i} {j:011}"' for j in range(8000))})
            for i in range(n)]


def shared_texts(n, n_bytes=60_000):
    """Decisions about a long text, which every question has before it."""
    return [json.dumps({"input": f"{i} " + "a b " * (n_bytes // 4),
                        "questions": [{"type": "predicate", "question": "a"}] * 64}).encode() for i in range(n)]


def chat_held_to(form):
    return json.dumps({"messages": [{"role": "user", "content": "a"}], "max_tokens": 1000, **form}).encode()
