"""lm-evaluation-harness, local-completions: log-likelihoods equal those of `qwen3 logits`, which has no server in it."""
import pathlib
import subprocess
import sys
import tempfile

import numpy
from lm_eval.api.instance import Instance
from lm_eval.models.openai_completions import LocalCompletionsAPI
from transformers import AutoTokenizer

url, model_directory, program = sys.argv[1] + "/completions", sys.argv[2], sys.argv[3]
tokenizer = AutoTokenizer.from_pretrained(model_directory)
pairs = [("What is 12 + 30?", " 42"), ("What is 12 + 30?", " 17"), ("The sky", " is blue"), ("One", " two three")]


def own(context, continuation):
    """The sum over the continuation, and whether greedy decoding would have written it."""
    ids = tokenizer.encode(context + continuation)
    first = len(tokenizer.encode(context))
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "logits.npy"
        subprocess.run([program, "logits", "-m", model_directory, "--dtype", "float32", "--ids",
                        ",".join(map(str, ids)), "--out", out], check=True, capture_output=True)
        logits = numpy.load(out).astype(numpy.float64)
    likelihoods = logits - numpy.log(numpy.exp(logits).sum(axis=1, keepdims=True))
    likelihood = sum(likelihoods[at - 1, ids[at]] for at in range(first, len(ids)))
    return likelihood, all(logits[at - 1].argmax() == ids[at] for at in range(first, len(ids)))


model = LocalCompletionsAPI(base_url=url, model="nano-moe", tokenizer_backend="huggingface", tokenizer=model_directory,
                            batch_size=2, num_concurrent=1, max_length=512)
requests = [Instance("loglikelihood", {}, pair, i) for i, pair in enumerate(pairs)]
for pair, (likelihood, greedy) in zip(pairs, model.loglikelihood(requests)):
    expected, expected_greedy = own(*pair)
    # Both compute in float32; the server writes nine digits, and sums come in another order.
    assert abs(likelihood - expected) < 1e-4, (pair, likelihood, expected)
    assert greedy == expected_greedy, (pair, greedy)
    print(f"log P({pair[1]!r} | {pair[0]!r}) = {likelihood:.4f}; qwen3 logits: {expected:.4f}")
