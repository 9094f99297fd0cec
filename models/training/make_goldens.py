"""Greedy answers of transformers (float32) for 50 held-out prompts: what any other engine must repeat.

  make_goldens.py MODEL_DIR OUT.json
Each row: the messages (and tools), whether thinking is on, the prompt ids, the new ids (greedy, at
most 160, the end token included when reached) and the smallest gap between the best and the second
logit on the way; a prompt with a gap under 0.05 is left out, since rounding could decide it.
"""
import json
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import corpus
from sample import plain

COUNT, MOST, GAP = 50, 160, 0.05


def main():
    path, out = sys.argv[1:3]
    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
    held = corpus.held_out()
    # One of each group in turn, from the end, short prompts only.
    queues = {g: [s for s in reversed(ss) if len(plain(s.messages[-1]["content"])) < 900] for g, ss in held.items()}
    rows, left_out = [], 0
    while len(rows) < COUNT:
        for group, queue in queues.items():
            if len(rows) == COUNT or not queue:
                continue
            s = queue.pop()
            messages = [dict(m, content=plain(m["content"])) for m in s.messages]
            thinking = s.think is not None
            ids = tokenizer.apply_chat_template(messages, tools=s.tools, add_generation_prompt=True,
                                                enable_thinking=thinking, return_dict=False)
            with torch.no_grad():
                o = model.generate(torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long), do_sample=False,
                                   max_new_tokens=MOST, temperature=None, top_p=None, top_k=None,
                                   output_logits=True, return_dict_in_generate=True)
            top = torch.stack(o.logits)[:, 0].topk(2).values
            gap = (top[:, 0] - top[:, 1]).min().item()
            if gap < GAP:
                left_out += 1
                continue
            row = {"group": group, "messages": messages, "thinking": thinking, "prompt_ids": ids,
                   "new_ids": o.sequences[0, len(ids) :].tolist(), "smallest_gap": round(gap, 4)}
            if s.tools:
                row["tools"] = s.tools
            rows.append(row)
    with open(out, "w", encoding="utf-8") as f:
        f.write("[\n" + ",\n".join(json.dumps(r, ensure_ascii=False) for r in rows) + "\n]\n")
    print(f"{len(rows)} prompts, {left_out} left out, smallest gap {min(r['smallest_gap'] for r in rows)}")


if __name__ == "__main__":
    main()
