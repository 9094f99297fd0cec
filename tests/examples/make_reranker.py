#!/usr/bin/env python3
"""Makes a model that can be served with --task rerank, of nano, which lacks a token "yes": what it says of documents is
deterministic and means nothing, which is enough to see that a client asks rightly.

    make_reranker.py models/nano OUTDIR
"""
import json
import pathlib
import shutil
import sys


def main() -> None:
    source, out = map(pathlib.Path, sys.argv[1:])
    shutil.copytree(source, out)
    file = out / "tokenizer.json"
    tokenizer = json.loads(file.read_text())
    vocabulary, merges = tokenizer["model"]["vocab"], tokenizer["model"]["merges"]
    parts = {part for merge in merges for part in merge}
    # A word that no other is made of gives its row away.
    word = next("".join(merge) for merge in merges if "".join(merge) not in parts and "".join(merge).isalpha())
    tokenizer["model"]["merges"] = [merge for merge in merges if "".join(merge) != word]
    vocabulary["yes"] = vocabulary.pop(word)
    assert "no" in vocabulary
    file.write_text(json.dumps(tokenizer, ensure_ascii=False))


if __name__ == "__main__":
    main()
