"""lm-evaluation-harness, local-completions: log-likelihoods equal the sums that the server itself gives."""
import json
import sys
import urllib.request

from lm_eval.api.instance import Instance
from lm_eval.models.openai_completions import LocalCompletionsAPI
from transformers import AutoTokenizer

url = sys.argv[1] + "/completions"
tokenizer = AutoTokenizer.from_pretrained(sys.argv[2])
pairs = [("What is 12 + 30?", " 42"), ("What is 12 + 30?", " 17"), ("The sky", " is blue"), ("One", " two three")]


def own(context, continuation):
    ids = tokenizer.encode(context + continuation)
    body = {"model": "nano-moe", "prompt": ids, "echo": True, "max_tokens": 0, "logprobs": 1}
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    values = json.load(urllib.request.urlopen(request))["choices"][0]["logprobs"]["token_logprobs"]
    return sum(values[len(tokenizer.encode(context)):])


model = LocalCompletionsAPI(base_url=url, model="nano-moe", tokenizer_backend="huggingface", tokenizer=sys.argv[2],
                            batch_size=2, num_concurrent=1, max_length=512)
requests = [Instance("loglikelihood", {}, pair, i) for i, pair in enumerate(pairs)]
for pair, (likelihood, greedy) in zip(pairs, model.loglikelihood(requests)):
    assert abs(likelihood - own(*pair)) < 1e-2, (pair, likelihood, own(*pair))
    assert isinstance(greedy, bool)
