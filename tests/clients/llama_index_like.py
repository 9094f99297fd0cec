"""LlamaIndex's OpenAILike in both of its modes: plain completions (its default) and chat."""
import sys

from llama_index.core.llms import ChatMessage
from llama_index.llms.openai_like import OpenAILike

arguments = dict(model="nano-moe", api_base=sys.argv[1], api_key="EMPTY", temperature=0, context_window=2048,
                 max_tokens=256, max_retries=0)
plain = OpenAILike(**arguments)
assert str(plain.complete("The sky is"))
assert "".join(part.delta for part in plain.stream_complete("The sky is")) == str(plain.complete("The sky is"))

chat = OpenAILike(is_chat_model=True, **arguments)
messages = [ChatMessage(role="user", content="What is 12 + 30?")]
answer = chat.chat(messages).message.content
assert "42" in answer, answer
assert "".join(part.delta or "" for part in chat.stream_chat(messages)) == answer
print("completion:", repr(str(plain.complete("The sky is"))[:40]), "| chat:", answer)
