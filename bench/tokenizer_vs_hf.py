#!/usr/bin/env python3
"""Pairs tokenizer_bench with Hugging Face `tokenizers` on one thread and the same generated texts.

    tokenizer_vs_hf.py build/release/bin/tokenizer_bench third_party/tokenizer-qwen3/models

Each text is a few MB made from a seed: English, Chinese, code, and all of them mixed. Words follow a
Zipf law, as in natural text. Hugging Face encodes the text in one call and line by line; the better
counts. Both sides count processor time. Ids must be equal.
"""
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"
from tokenizers import Tokenizer  # noqa: E402  (reads the environment)

N_BYTES = 4_000_000


def zipf_words(rng, words):
    """An endless stream of words, the k-th with probability about 1/k."""
    weights = [1 / (k + 2) for k in range(len(words))]
    while True:
        yield from rng.choices(words, weights, k=4096)


def english(rng, vocabulary):
    words = zipf_words(rng, vocabulary["latin"])
    while True:
        sentence = " ".join(next(words) for _ in range(rng.randint(5, 18)))
        yield sentence.capitalize() + rng.choice([".", ".", ".", "?", "!", ";", ", 1998.", "\n\n"]) + " "


def chinese(rng, vocabulary):
    words = zipf_words(rng, vocabulary["han"])
    while True:
        yield "".join(next(words) for _ in range(rng.randint(3, 9))) + rng.choice("，，，。。、？！；\n")


def code(rng, vocabulary):
    names = zipf_words(rng, vocabulary["latin"])
    while True:
        a, b, c = (next(names) for _ in range(3))
        indent = " " * (4 * rng.randint(0, 4))
        yield indent + rng.choice([
            f"{a}_{b} = {c}({rng.randint(0, 999)}, \"{b}\")\n", f"if ({a} != {b}) {{\n", "}\n\n",
            f"for (int i = 0; i < {a}.size(); ++i) {c}[i] += 0x{rng.randint(0, 65535):x};\n",
            f"// {a} {b} {c}: see {a}.{b}()\n", f"return {a}->{b};\n", f"def {a}(self, {b}=None):\n"])


def mixed(rng, vocabulary):
    sources = [english(rng, vocabulary), chinese(rng, vocabulary), code(rng, vocabulary)]
    while True:
        for _ in range(rng.randint(1, 5)):
            yield next(rng.choice(sources))
        yield rng.choice(["\n", "<|im_end|>\n<|im_start|>user\n", " café 🚀 ", "12,345.67 "])


def make_vocabulary(tokenizer):
    words = {"latin": [], "han": []}
    for i in range(tokenizer.get_vocab_size() - 26):
        word = tokenizer.decode([i]).strip()
        if word.isascii() and word.isalpha() and len(word) > 1:
            words["latin"].append(word)
        elif 1 <= len(word) <= 4 and all("\u4e00" <= c <= "\u9fff" for c in word):
            words["han"].append(word)
    return words


def write_texts(folder, tokenizer):
    vocabulary = make_vocabulary(tokenizer)
    for make in (english, chinese, code, mixed):
        pieces, size = [], 0
        for piece in make(random.Random(1), vocabulary):
            pieces.append(piece)
            size += len(piece.encode())
            if size >= N_BYTES:
                break
        yield make.__name__, (folder / make.__name__), "".join(pieces)


def fnv(ids):
    h = 14695981039346656037
    for i in ids:
        h = ((h ^ i) * 1099511628211) & 0xFFFFFFFFFFFFFFFF
    return f"{h:016x}"


def hf_encode(tokenizer, text):
    """Ids and the best MB/s of Hugging Face: one call, and line by line (its word cache is warm)."""
    best = 0.0
    lines = text.splitlines(keepends=True)
    for _ in range(2):
        begin = time.process_time()
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        middle = time.process_time()
        for line in lines:
            tokenizer.encode(line, add_special_tokens=False)
        end = time.process_time()
        best = max(best, len(text.encode()) / 1e6 / min(middle - begin, end - middle))
    return ids, best


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    program, directory = sys.argv[1:]
    begin = time.process_time()
    tokenizer = Tokenizer.from_file(str(Path(directory) / "tokenizer.json"))
    print(f"Hugging Face loads in {1e3 * (time.process_time() - begin):.0f} ms")
    with tempfile.TemporaryDirectory() as folder:
        for name, path, text in write_texts(Path(folder), tokenizer):
            path.write_text(text, newline="")
            lines = subprocess.run([program, directory, str(path)], check=True, capture_output=True, text=True)
            load, ours = (json.loads(line) for line in lines.stdout.splitlines())
            ids, hf = hf_encode(tokenizer, text)
            again = subprocess.run([program, directory, str(path)], check=True, capture_output=True, text=True)
            ours_again = json.loads(again.stdout.splitlines()[1])
            speed = min(ours["encode_mb_per_s"], ours_again["encode_mb_per_s"])
            same = "ids equal" if fnv(ids) == ours["ids_hash"] else "IDS DIFFER"
            print(f"{name:8} ours {speed:7.2f} MB/s  HF {hf:6.2f} MB/s  ratio {speed / hf:6.1f}  {same}"
                  f"  load {load['load_ms']} ms  decode {ours['decode_mb_per_s']:.0f} MB/s")
            if fnv(ids) != ours["ids_hash"]:
                sys.exit(1)


main()
