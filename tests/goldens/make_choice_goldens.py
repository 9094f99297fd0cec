"""Makes tests/goldens/choices.json: log-likelihoods of choices by transformers, with models/nano.

    python tests/goldens/make_choice_goldens.py        (torch 2.14.x CPU, transformers 5.24.x, lm_eval 0.4.13)

Float32. What is scored follows lm-evaluation-harness (_encode_pair of lm_eval/api/model.py), the
winners its process_results (lm_eval/api/task.py): acc, acc_norm per character, acc_bytes per byte.
Its own class for transformers must find the same numbers, or nothing is written.

"bound" is how far another float32 program's log-likelihood may be from this one: the logits of a row
agree to 1e-5 of their norm (the rule of tests/model/conformance_test.cpp), ln softmax moves by at
most twice the largest change of a logit, and a choice sums over its tokens' rows.
"""

import json
import pathlib

import numpy as np
import torch
import torch.nn.functional as F
import transformers
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from transformers import AutoModelForCausalLM, AutoTokenizer

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODEL = ROOT.parent / "models" / "nano"
CHAT = "<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
AGREEMENT = 1e-5


def rows():
    for line in (ROOT.parent / "eval" / "data" / "multiple_choice.jsonl").read_text().splitlines():
        row = json.loads(line)
        yield {"prompt": row["prompt"], "choices": row["choices"]}
        yield {"prompt": row["prompt"], "choices": ["A", "B", "C", "D"], "template": CHAT, "delimiter": ""}
    yield {"prompt": "What is 3 + 4?", "choices": ["3 + 4 = 7.", "3 + 4 = 8.", "It is 7."], "template": CHAT, "delimiter": ""}
    # White space at the end of the context, which goes over to the choice.
    yield {"prompt": "The sky is \u2003\n ", "choices": ["blue", "green and far away"], "delimiter": ""}
    # Characters and bytes differ.
    yield {"prompt": "The word is", "choices": ["caf\u00e9", "\u65e5\u672c\u8a9e", "the", "\U0001f600\U0001f600"]}
    yield {"prompt": "The word is", "choices": ["\u65e5\u672c\u8a9e", "}{"]}
    yield {"prompt": "One two three", "choices": ["four five six seven eight nine ten", "\u00e9\u00e9\u00e9\u00e9"]}


def encode_pair(tokenizer, context, continuation):
    n_spaces = len(context) - len(context.rstrip())
    if n_spaces > 0:
        continuation = context[-n_spaces:] + continuation
        context = context[:-n_spaces]
    whole = tokenizer.encode(context + continuation)
    own = tokenizer.encode(context)
    assert whole[: len(own)] == own and len(whole) > len(own)
    return whole, len(own)


@torch.no_grad()
def score(model, tokenizer, row):
    row.setdefault("template", "{prompt}")
    row.setdefault("delimiter", " ")
    context = row["template"].replace("{prompt}", row["prompt"])
    row.update(ids=[], loglikelihoods=[], bounds=[])
    for choice in row["choices"]:
        whole, n_context = encode_pair(tokenizer, context, row["delimiter"] + choice)
        logits = model(torch.tensor([whole])).logits[0]
        own = torch.tensor(whole[n_context:])
        logits = logits[n_context - 1 : -1].double()
        logprobs = F.log_softmax(logits, -1).gather(1, own[:, None])[:, 0]
        row["ids"].append(whole)
        row["loglikelihoods"].append(logprobs.sum().item())
        row["bounds"].append(2 * AGREEMENT * logits.norm(dim=-1).sum().item())
        row["n_context"] = n_context
    lls = np.array(row["loglikelihoods"])
    row["acc"] = int(np.argmax(lls))
    row["acc_norm"] = int(np.argmax(lls / np.array([float(len(c)) for c in row["choices"]])))
    row["acc_bytes"] = int(np.argmax(lls / np.array([float(len(c.encode())) for c in row["choices"]])))
    return row


def check_with_harness(model, tokenizer, row):
    context = row["template"].replace("{prompt}", row["prompt"])
    pairs = [(context, row["delimiter"] + choice) for choice in row["choices"]]
    harness = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=1)
    asked = [Instance("loglikelihood", {}, pair, i) for i, pair in enumerate(pairs)]
    for ours, bound, (theirs, _) in zip(
        row["loglikelihoods"], row["bounds"], harness.loglikelihood(asked, disable_tqdm=True)
    ):
        print(f"difference from lm_eval {abs(ours - theirs):.1e}, bound {bound:.1e}")
        assert abs(ours - theirs) <= bound, (row, theirs)


def main():
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32).eval()
    golden = {
        "made_with": f"torch {torch.__version__}, transformers {transformers.__version__}",
        "rows": [score(model, tokenizer, row) for row in rows()],
    }
    for row in golden["rows"]:
        check_with_harness(model, tokenizer, row)
    with open(ROOT / "goldens" / "choices.json", "w") as f:
        json.dump(golden, f)
        f.write("\n")
    for row in golden["rows"]:
        print([len(i) - row["n_context"] for i in row["ids"]], row["loglikelihoods"], row["bounds"],
              row["acc"], row["acc_norm"], row["acc_bytes"])


if __name__ == "__main__":
    main()
