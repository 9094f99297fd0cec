"""The official Python client's embeddings, which it asks for in base64 when nothing else is said."""
import math
import sys

import openai

client = openai.OpenAI(base_url=sys.argv[1], api_key="EMPTY", max_retries=0)
TEXTS = ["One two", "Three", "One two"]
packed = client.embeddings.create(model="nano", input=TEXTS)
plain = client.embeddings.create(model="nano", input=TEXTS, encoding_format="float")
for one, other in zip(packed.data, plain.data):
    assert len(one.embedding) == len(other.embedding) > 0
    assert all(abs(a - b) < 1e-6 for a, b in zip(one.embedding, other.embedding))
    assert abs(math.hypot(*one.embedding) - 1) < 1e-5
assert packed.data[0].embedding == packed.data[2].embedding != packed.data[1].embedding
assert len(client.embeddings.create(model="nano", input="One", dimensions=8).data[0].embedding) == 8
assert packed.usage.prompt_tokens > 0
print("three embeddings of", len(packed.data[0].embedding), "values,", packed.usage.prompt_tokens, "tokens")
