#!/usr/bin/env python3
"""Asks the server on a port of this machine what 3 + 4 is; fails unless it says 7."""
import json
import sys
import urllib.request

QUESTION = {"model": "nano-moe", "temperature": 0, "messages": [{"role": "user", "content": "What is 3 + 4?"}]}


def main():
    request = urllib.request.Request(f"http://127.0.0.1:{sys.argv[1]}/v1/chat/completions",
                                     json.dumps(QUESTION).encode(), {"Content-Type": "application/json"})
    try:
        answer = json.loads(urllib.request.urlopen(request, timeout=20).read())
    except OSError as error:
        print(error)
        return 1
    content = answer["choices"][0]["message"]["content"]
    print(content)
    return 0 if "7" in content else 1


sys.exit(main())
