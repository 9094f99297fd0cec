"""What people use to get objects out of an answer: instructor, pydantic-ai and openai-agents. The model was taught none
of the forms, so what comes is of the form by the grammar alone."""
import asyncio
import os
import sys
from typing import Literal

import agents
import instructor
import openai
import pydantic
import pydantic_ai
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

URL = sys.argv[1]
MODEL = "nano-moe"
QUESTION = "What is the weather in Paris?"
ROUNDS = int(os.environ.get("ROUNDS", 10))


class Weather(pydantic.BaseModel):
    city: Literal["Paris", "Rome"]
    degrees: int = pydantic.Field(ge=-50, le=60)
    notes: list[str] = pydantic.Field(max_length=0)


client = openai.OpenAI(base_url=URL, api_key="EMPTY", max_retries=0)
for mode in (instructor.Mode.TOOLS, instructor.Mode.TOOLS_STRICT, instructor.Mode.JSON_SCHEMA):
    wrapped = instructor.from_openai(client, mode=mode)
    for seed in range(ROUNDS):
        got = wrapped.chat.completions.create(
            model=MODEL, response_model=Weather, max_retries=0, temperature=1, seed=seed, max_tokens=800,
            messages=[{"role": "user", "content": QUESTION}], extra_body={"enable_thinking": False})
        assert isinstance(got, Weather), (mode, got)

provider = OpenAIProvider(base_url=URL, api_key="EMPTY")
settings = {"max_tokens": 800, "temperature": 1, "extra_body": {"enable_thinking": False}}
for model in (OpenAIChatModel(MODEL, provider=provider), OpenAIResponsesModel(MODEL, provider=provider)):
    for output in (Weather, pydantic_ai.NativeOutput(Weather)):
        agent = pydantic_ai.Agent(model, output_type=output, model_settings=settings, retries=0)
        assert isinstance(agent.run_sync(QUESTION).output, Weather)

agents.set_tracing_disabled(True)
for kind in (agents.OpenAIChatCompletionsModel, agents.OpenAIResponsesModel):
    asynchronous = openai.AsyncOpenAI(base_url=URL, api_key="EMPTY", max_retries=0)
    agent = agents.Agent(name="weather", output_type=Weather, model=kind(MODEL, asynchronous),
                         model_settings=agents.ModelSettings(max_tokens=800, temperature=1,
                                                             extra_body={"enable_thinking": False}))
    result = asyncio.run(agents.Runner.run(agent, QUESTION))
    assert isinstance(result.final_output, Weather), result

print("instructor in 3 modes, pydantic-ai and openai-agents over chats and responses: objects")
