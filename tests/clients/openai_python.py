"""The official Python client: plain, stream, stream helper, parse, tools, log probabilities, errors."""
import sys

import openai

client = openai.OpenAI(base_url=sys.argv[1], api_key="EMPTY", max_retries=0)
MODEL = "nano-moe"
QUESTION = [{"role": "user", "content": "What is 12 + 30?"}]
TOOLS = [{"type": "function", "function": {
    "name": "get_weather", "description": "Weather of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}},
                   "required": ["city"], "additionalProperties": False},
    "strict": True}}]
WEATHER = [{"role": "user", "content": "What is the weather in Paris?"}]
NO_THINKING = {"chat_template_kwargs": {"enable_thinking": False}}

plain = client.chat.completions.create(model=MODEL, temperature=0, messages=QUESTION)
message = plain.choices[0].message
assert "42" in message.content, plain
assert message.reasoning_content, plain
assert plain.usage.total_tokens == plain.usage.prompt_tokens + plain.usage.completion_tokens
assert plain.usage.completion_tokens_details.reasoning_tokens > 0
assert plain._request_id

content = reasoning = ""
usage = None
for chunk in client.chat.completions.create(model=MODEL, temperature=0, messages=QUESTION, stream=True,
                                            stream_options={"include_usage": True}):
    usage = chunk.usage or usage
    for choice in chunk.choices:
        content += choice.delta.content or ""
        reasoning += getattr(choice.delta, "reasoning_content", None) or ""
assert (content, reasoning) == (message.content, message.reasoning_content)
assert usage.completion_tokens == plain.usage.completion_tokens

with client.chat.completions.stream(model=MODEL, temperature=0, messages=QUESTION) as stream:
    events = [event.type for event in stream]
    final = stream.get_final_completion()
assert final.choices[0].message.content == message.content
assert "content.delta" in events and "content.done" in events

parsed = client.chat.completions.parse(model=MODEL, temperature=0, messages=WEATHER, tools=TOOLS,
                                       extra_body=NO_THINKING)
call = parsed.choices[0].message.tool_calls[0]
assert call.function.name == "get_weather"
assert call.function.parsed_arguments == {"city": "Paris"}, call

with client.chat.completions.stream(model=MODEL, temperature=0, messages=WEATHER, tools=TOOLS,
                                    extra_body=NO_THINKING) as stream:
    for event in stream:
        pass
    final = stream.get_final_completion()
assert final.choices[0].finish_reason == "tool_calls"
assert final.choices[0].message.tool_calls[0].function.parsed_arguments == {"city": "Paris"}

follow_up = client.chat.completions.create(
    model=MODEL, temperature=0, tools=TOOLS, extra_body=NO_THINKING,
    messages=WEATHER + [parsed.choices[0].message.model_dump(exclude_none=True),
                        {"role": "tool", "tool_call_id": call.id, "content": "sunny, 21"}])
assert follow_up.choices[0].message.content

named = client.chat.completions.create(
    model=MODEL, temperature=0, messages=WEATHER, tools=TOOLS, max_tokens=60,
    tool_choice={"type": "function", "function": {"name": "get_weather"}})
assert named.choices[0].message.tool_calls[0].function.name == "get_weather", named

probable = client.chat.completions.create(model=MODEL, temperature=0, messages=QUESTION, logprobs=True,
                                          top_logprobs=3, max_tokens=5, n=2)
assert len(probable.choices) == 2
for entry in probable.choices[0].logprobs.content:
    assert len(entry.top_logprobs) == 3 and entry.top_logprobs[0].token == entry.token

# The same seed, the same words; another one, others.
drawn = [client.completions.create(model=MODEL, prompt="The sky is", temperature=1.5, top_p=1, seed=seed, max_tokens=30,
                                   extra_body={"top_k": -1}).choices[0].text for seed in (1, 1, 2)]
assert drawn[0] == drawn[1] != drawn[2], drawn

stopped = client.chat.completions.create(model=MODEL, temperature=0, messages=QUESTION, stop=[" = "],
                                         extra_body=NO_THINKING)
assert stopped.choices[0].finish_reason == "stop" and "=" not in stopped.choices[0].message.content, stopped

again = client.chat.completions.create(model=MODEL, temperature=0, messages=QUESTION * 8, max_tokens=1)
again = client.chat.completions.create(model=MODEL, temperature=0, messages=QUESTION * 8, max_tokens=1)
assert again.usage.prompt_tokens_details.cached_tokens > 0, again.usage

echoed = client.completions.create(model=MODEL, prompt="The sky is", echo=True, logprobs=1, max_tokens=2, temperature=0)
probabilities = echoed.choices[0].logprobs
assert echoed.choices[0].text.startswith("The sky is")
assert probabilities.token_logprobs[0] is None and all(p <= 0 for p in probabilities.token_logprobs[1:])
assert "".join(probabilities.tokens) == echoed.choices[0].text, echoed

text = client.completions.create(model=MODEL, prompt=["What is", "The sky"], max_tokens=4, temperature=0)
assert len(text.choices) == 2
assert [model.id for model in client.models.list()] == [MODEL]

for expected, arguments in [
        (openai.NotFoundError, {"model": "gpt-4", "messages": QUESTION}),
        (openai.BadRequestError, {"model": MODEL, "messages": []}),
        (openai.BadRequestError, {"model": MODEL, "messages": QUESTION, "max_tokens": 10**6}),
        (openai.BadRequestError, {"model": MODEL, "messages": QUESTION, "temperature": 9}),
        (openai.BadRequestError, {"model": MODEL, "messages": QUESTION,
                                  "response_format": {"type": "structural_tag"}})]:
    try:
        client.chat.completions.create(**arguments)
        raise AssertionError(f"no error for {arguments}")
    except expected as error:
        assert error.body["message"] and isinstance(error.code, str), error.body

print("answer:", message.content, "| usage:", plain.usage.total_tokens, "tokens,",
      plain.usage.completion_tokens_details.reasoning_tokens, "of reasoning | tool call:",
      call.function.name, call.function.arguments)
