#!/usr/bin/env python3
"""Answers a question from your own files, with LlamaIndex: Qwen3-Embedding finds passages, Qwen3-Reranker sorts them,
and a chat model answers from the best.

    qwen3 serve -m Qwen/Qwen3-0.6B &
    qwen3 serve -m Qwen/Qwen3-Embedding-0.6B --port 8001 &
    qwen3 serve -m Qwen/Qwen3-Reranker-0.6B --port 8002 &
    python retrieve.py --question "When is the boiler serviced?" ../notes/*.md
"""
import argparse
import json
import os
import pathlib

import httpx
from llama_index.core import Document, VectorStoreIndex
from llama_index.core.llms import ChatMessage
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.llms.openai_like import OpenAILike

KEY = os.environ.get("OPENAI_API_KEY", "EMPTY")
# What a query is for; passages are embedded as they are (Qwen3-Embedding's card).
TASK = "Given a question, retrieve passages that answer it"


def model_at(url: str) -> str:
    """The model that a server has."""
    reply = httpx.get(url + "/models", headers={"Authorization": "Bearer " + KEY})
    return reply.raise_for_status().json()["data"][0]["id"]


class QueryEmbedding(OpenAILikeEmbedding):
    """Queries get their instruction."""

    def _get_query_embedding(self, query):
        return super()._get_query_embedding(f"Instruct: {TASK}\nQuery:{query}")


class Reranker(BaseNodePostprocessor):
    """Qwen3-Reranker behind /v1/rerank."""

    url: str
    top_n: int

    def _postprocess_nodes(self, nodes, query_bundle=None):
        reply = httpx.post(
            self.url + "/rerank",
            headers={"Authorization": "Bearer " + KEY},
            json={"model": model_at(self.url), "query": query_bundle.query_str,
                  "documents": [one.node.get_content(MetadataMode.NONE) for one in nodes], "top_n": self.top_n,
                  "instruction": TASK},
            timeout=600)
        return [NodeWithScore(node=nodes[result["index"]].node, score=result["relevance_score"])
                for result in reply.raise_for_status().json()["results"]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=pathlib.Path)
    parser.add_argument("--question", required=True)
    parser.add_argument("--chat", default="http://127.0.0.1:8000/v1")
    parser.add_argument("--embeddings", default="http://127.0.0.1:8001/v1")
    parser.add_argument("--reranker", default="http://127.0.0.1:8002/v1")
    parser.add_argument("--top-k", type=int, default=6, help="passages that the embeddings find")
    parser.add_argument("--top-n", type=int, default=2, help="of them, those that the reranker leaves")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()

    # The file's name is for people, and not embedded with the text.
    documents = [Document(text=file.read_text(), metadata={"file": file.name}, excluded_embed_metadata_keys=["file"])
                 for file in given.files]
    index = VectorStoreIndex.from_documents(
        documents,
        embed_model=QueryEmbedding(model_name=model_at(given.embeddings), api_base=given.embeddings, api_key=KEY),
        transformations=[SentenceSplitter(chunk_size=96, chunk_overlap=0, paragraph_separator="\n\n")])
    found = index.as_retriever(similarity_top_k=given.top_k).retrieve(given.question)
    best = Reranker(url=given.reranker, top_n=given.top_n).postprocess_nodes(found, QueryBundle(given.question))

    chat = OpenAILike(model=model_at(given.chat), api_base=given.chat, api_key=KEY, is_chat_model=True, temperature=0,
                      max_tokens=512, additional_kwargs={"extra_body": {"chat_template_kwargs": {"enable_thinking": False}}})
    context = "\n\n".join(f"[{one.node.metadata['file']}]\n{one.node.get_content(MetadataMode.NONE)}" for one in best)
    answer = chat.chat([ChatMessage(
        role="user", content=f"Answer from these notes.\n\n{context}\n\nQuestion: {given.question}")]).message.content
    if given.json:
        print(json.dumps({"found": [one.node.get_content(MetadataMode.NONE) for one in found],
                          "best": [[one.node.get_content(MetadataMode.NONE), one.score] for one in best],
                          "context": context, "answer": answer}, ensure_ascii=False))
        return
    for one in best:
        print(f"{one.score:.3f}  {one.node.metadata['file']}: {one.node.get_content(MetadataMode.NONE)[:80]!r}")
    print(answer)


if __name__ == "__main__":
    main()
