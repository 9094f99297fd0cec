"""LLM gives what the program gives, alone and in a batch, whole and streamed."""
import json
import subprocess

import numpy as np
import pytest
from conftest import NANO, PROGRAM

import qwen3

PROMPTS = ["Sort 7, 3 and 9.", "What is 3 + 4?", "The capital of", "é中文 <|im_end|>", "a"]
MESSAGES = [{"role": "user", "content": "Sort 7, 3 and 9."}]
GREEDY = qwen3.SamplingParams(temperature=0, max_tokens=48)


def of_program(prompt):
    done = subprocess.run(
        [PROGRAM, "generate", "-m", NANO, "--prompt", prompt, "--temperature", "0", "--max-tokens", "48", "--json",
         "--quiet"], capture_output=True, check=True)
    return json.loads(done.stdout)


def test_greedy_answers_are_the_programs_bit_for_bit(llm):
    outputs = llm.generate(PROMPTS, GREEDY)
    assert len(outputs) == len(PROMPTS)
    for prompt, output in zip(PROMPTS, outputs):
        expected = of_program(prompt)
        [answer] = output.outputs
        assert answer.token_ids == expected["ids"]
        assert answer.text.encode() == expected["text"].encode()
        assert answer.finish_reason == expected["finish_reason"]
        assert output.prompt == prompt and output.prompt_token_ids == llm.model.encode(prompt)


def test_seeded_answers_are_the_programs(llm):
    params = qwen3.SamplingParams(temperature=0.8, top_p=0.9, top_k=20, seed=5, max_tokens=32)
    [output] = llm.generate("Tell me", params)
    done = subprocess.run(
        [PROGRAM, "generate", "-m", NANO, "--prompt", "Tell me", "--temperature", "0.8", "--top-p", "0.9", "--top-k", "20",
         "--seed", "5", "--max-tokens", "32", "--json", "--quiet"], capture_output=True, check=True)
    assert output.outputs[0].token_ids == json.loads(done.stdout)["ids"]


def test_chat(llm):
    [output] = llm.chat(MESSAGES, qwen3.SamplingParams(temperature=0, max_tokens=200))
    assert output.outputs[0].text.endswith("3, 7, 9")
    assert output.outputs[0].finish_reason == "stop"
    assert output.finished and output.prompt.startswith("<|im_start|>user")
    plain = {"enable_thinking": False}
    outputs = llm.chat([MESSAGES, MESSAGES], GREEDY, chat_template_kwargs=plain)
    assert [one.outputs[0].text for one in outputs] == ["3, 7, 9", "3, 7, 9"]


def test_a_stream_is_the_answer(llm):
    prompt = llm.model.render_chat(MESSAGES)
    with llm.engine.submit(prompt, qwen3.SamplingParams(temperature=0, max_tokens=200), split_reasoning=True) as stream:
        events = list(stream)
    assert "".join(event.text for event in events) == "3, 7, 9"
    assert "7, 9 -> 7" in "".join(event.reasoning for event in events)
    assert [event.finish_reason for event in events[:-1]] == [None] * (len(events) - 1)
    assert events[-1].finish_reason == "stop"
    assert events[-1].usage.prompt_tokens == len(prompt.ids)


def test_logprobs_are_of_the_logits(llm):
    ids = llm.model.encode(PROMPTS[0])
    [output] = llm.generate([ids], qwen3.SamplingParams(temperature=0, max_tokens=3, logprobs=4, prompt_logprobs=1))
    answer = output.outputs[0]
    row = llm.model.logits(ids)[-1].astype(np.float64)
    expected = row - np.log(np.exp(row - row.max()).sum()) - row.max()
    first = answer.token_ids[0]
    assert first == int(row.argmax())
    assert answer.logprobs[0][first].logprob == pytest.approx(expected[first], abs=1e-4)
    assert answer.logprobs[0][first].rank == 1 and len(answer.logprobs[0]) == 4
    assert answer.cumulative_logprob == pytest.approx(
        sum(found[token].logprob for found, token in zip(answer.logprobs, answer.token_ids)))
    assert output.prompt_logprobs[0] is None and len(output.prompt_logprobs) == len(ids)
    assert answer.logprobs[0][first].decoded_token == llm.model.decode([first])


def test_n_answers_have_seeds_of_their_own(llm):
    params = qwen3.SamplingParams(n=3, temperature=1.5, seed=7, max_tokens=12)
    [output] = llm.generate("Tell me", params)
    assert [answer.index for answer in output.outputs] == [0, 1, 2]
    assert len({tuple(answer.token_ids) for answer in output.outputs}) > 1
    [again] = llm.generate("Tell me", qwen3.SamplingParams(temperature=1.5, seed=8, max_tokens=12))
    assert again.outputs[0].token_ids == output.outputs[1].token_ids


def test_stops(llm):
    [whole] = llm.generate(PROMPTS[0], GREEDY)
    stop = whole.outputs[0].text[2:4]
    [cut] = llm.generate(PROMPTS[0], qwen3.SamplingParams(temperature=0, max_tokens=48, stop=["never seen", stop]))
    assert cut.outputs[0].text == whole.outputs[0].text.split(stop)[0]
    assert (cut.outputs[0].finish_reason, cut.outputs[0].stop_reason) == ("stop", stop)
    with pytest.raises(qwen3.InvalidArgumentError, match="zero"):
        llm.generate("a", qwen3.SamplingParams(stop="a\0b"))
    token = whole.outputs[0].token_ids[3]
    [ended] = llm.generate(PROMPTS[0], qwen3.SamplingParams(temperature=0, max_tokens=48, stop_token_ids=[token]))
    assert ended.outputs[0].stop_reason == token


@pytest.mark.parametrize("form", [
    qwen3.StructuredOutputs(choice=["yes", "no"]),
    qwen3.StructuredOutputs(regex="yes|no"),
    qwen3.StructuredOutputs(grammar='root ::= "yes" | "no"'),
])
def test_structured_outputs(llm, form):
    for output in llm.chat([MESSAGES] * 2, qwen3.SamplingParams(temperature=0, max_tokens=20, structured_outputs=form),
                           chat_template_kwargs={"enable_thinking": False}):
        assert output.outputs[0].text in ("yes", "no")


def test_json_schema(llm):
    schema = {"type": "object", "properties": {"n": {"type": "integer", "maximum": 9}}, "required": ["n"]}
    form = qwen3.StructuredOutputs(json=schema)
    [output] = llm.generate(PROMPTS[1], qwen3.SamplingParams(temperature=0, max_tokens=60, structured_outputs=form))
    assert set(json.loads(output.outputs[0].text)) == {"n"}
    with pytest.raises(qwen3.InvalidArgumentError, match="format_text"):
        llm.generate("a", qwen3.SamplingParams(structured_outputs=qwen3.StructuredOutputs(json="{")))


def test_embeddings(llm):
    first, second = llm.embed(["Hello", "Good bye"])
    assert first.embedding.shape == (llm.model.info.hidden_size,)
    assert np.linalg.norm(second.embedding) == pytest.approx(1, abs=1e-5)


def test_more_requests_than_the_queue_takes(model):
    with qwen3.Engine(model, max_waiting=2, max_sequences=2, max_model_len=64) as engine:
        told = []
        results = engine.generate([model.encode("a")] * 30, qwen3.SamplingParams(temperature=0, max_tokens=3),
                                  progress=lambda done, n: told.append((done, n)))
    assert len(results) == 30 and len({tuple(result.token_ids) for result in results}) == 1
    assert told[-1] == (30, 30)
