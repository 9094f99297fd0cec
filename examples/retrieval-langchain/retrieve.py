#!/usr/bin/env python3
"""Answers a question from your own files, with LangChain: Qwen3-Embedding finds passages, Qwen3-Reranker sorts them,
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
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from langchain_text_splitters import RecursiveCharacterTextSplitter

KEY = os.environ.get("OPENAI_API_KEY", "EMPTY")
# What a query is for; passages are embedded as they are (Qwen3-Embedding's card).
TASK = "Given a question, retrieve passages that answer it"


def model_at(url: str) -> str:
    """The model that a server has."""
    reply = httpx.get(url + "/models", headers={"Authorization": "Bearer " + KEY})
    return reply.raise_for_status().json()["data"][0]["id"]


class QueryEmbeddings(OpenAIEmbeddings):
    """Texts go to the server as they are (check_embedding_ctx_length=False), and queries with their instruction."""

    def embed_query(self, text, **more):
        return super().embed_query(f"Instruct: {TASK}\nQuery:{text}", **more)


class Reranker(BaseDocumentCompressor):
    """Qwen3-Reranker behind /v1/rerank."""

    url: str
    top_n: int

    def compress_documents(self, documents, query, callbacks=None):
        reply = httpx.post(
            self.url + "/rerank",
            headers={"Authorization": "Bearer " + KEY},
            json={"model": model_at(self.url), "query": query, "documents": [one.page_content for one in documents],
                  "top_n": self.top_n, "instruction": TASK},
            timeout=600)
        found = []
        for result in reply.raise_for_status().json()["results"]:
            document = documents[result["index"]]
            found.append(Document(document.page_content, metadata={**document.metadata, "score": result["relevance_score"]}))
        return found


def passages_of(files: list[pathlib.Path]) -> list[Document]:
    splitter = RecursiveCharacterTextSplitter(chunk_size=300, chunk_overlap=0, separators=["\n\n", "\n", " "])
    return [passage for file in files
            for passage in splitter.create_documents([file.read_text()], [{"file": file.name}])]


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

    store = InMemoryVectorStore(QueryEmbeddings(
        model=model_at(given.embeddings), base_url=given.embeddings, api_key=KEY, check_embedding_ctx_length=False))
    store.add_documents(passages_of(given.files))
    found = store.similarity_search(given.question, k=given.top_k)
    best = Reranker(url=given.reranker, top_n=given.top_n).compress_documents(found, given.question)

    chat = ChatOpenAI(model=model_at(given.chat), base_url=given.chat, api_key=KEY, temperature=0, max_tokens=512,
                      extra_body={"chat_template_kwargs": {"enable_thinking": False}})
    context = "\n\n".join(f"[{one.metadata['file']}]\n{one.page_content}" for one in best)
    answer = chat.invoke(f"Answer from these notes.\n\n{context}\n\nQuestion: {given.question}").content
    if given.json:
        print(json.dumps({"found": [one.page_content for one in found],
                          "best": [[one.page_content, one.metadata["score"]] for one in best],
                          "context": context, "answer": answer}, ensure_ascii=False))
        return
    for one in best:
        print(f"{one.metadata['score']:.3f}  {one.metadata['file']}: {one.page_content[:80]!r}")
    print(answer)


if __name__ == "__main__":
    main()
