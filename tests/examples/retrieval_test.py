"""Retrieval with LangChain and with LlamaIndex: every step is held against what the servers say when asked directly."""
import json

from http_calls import cosine, embeddings, post

QUESTION = "When is the boiler serviced?"
TASK = "Given a question, retrieve passages that answer it"


def test(bench) -> str:
    notes = sorted((bench.root / "examples/notes").glob("*.md"))
    command = [bench.python, bench.folder / "retrieve.py", "--question", QUESTION, "--chat", bench.urls["nano"],
               "--embeddings", bench.urls["embed"], "--reranker", bench.urls["rerank"], "--top-n", "2"]
    result = json.loads(bench.run(*command, "--top-k", "100", "--json", *notes).stdout)

    # All passages, the nearest first.
    found = result["found"]
    text = "".join("".join(file.read_text().split()) for file in notes)
    assert sorted("".join("".join(found).split())) == sorted(text), "every word of the files is in one passage"
    query, *vectors = embeddings(bench.urls["embed"], [f"Instruct: {TASK}\nQuery:{QUESTION}", *found])
    near = [cosine(query, vector) for vector in vectors]
    assert all(a >= b - 1e-6 for a, b in zip(near, near[1:])), f"not sorted by likeness: {near}"
    assert len(set(near)) > 3, "the vectors tell passages apart"

    # The reranker's own order and numbers.
    direct = post(bench.urls["rerank"] + "/rerank", {"query": QUESTION, "documents": found, "top_n": 2, "instruction": TASK})
    expected = [(found[one["index"]], one["relevance_score"]) for one in direct["results"]]
    assert len(result["best"]) == 2
    for (passage, score), (its_passage, its_score) in zip(expected, result["best"]):
        assert passage == its_passage and abs(score - its_score) < 1e-6, (expected, result["best"])

    # The answer is to the passages and the question.
    assert all(passage in result["context"] for passage, _ in expected)
    prompt = f"Answer from these notes.\n\n{result['context']}\n\nQuestion: {QUESTION}"
    reply = post(bench.urls["nano"] + "/chat/completions", {
        "messages": [{"role": "user", "content": prompt}], "temperature": 0, "max_tokens": 512,
        "chat_template_kwargs": {"enable_thinking": False}})
    assert reply["choices"][0]["message"]["content"] == result["answer"] != "", result["answer"]

    said = bench.run(*command, "--top-k", "4", *notes).stdout.splitlines()
    assert len(said) >= 3 and said[-1] == result["answer"].splitlines()[-1], said
    return f"{len(found)} passages of {len(notes)} files, best {result['best'][0][0][:40]!r}"
