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
