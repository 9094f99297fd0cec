#!/usr/bin/env python3
"""Makes src/tokenizer/unicode_classes.inc by asking Hugging Face `tokenizers` about every code point.

The classes are those that `tokenizers` itself uses, whatever Unicode version its libraries carry:
the regex engine (\\p{L}, \\p{N}, \\s), the word characters of single_word added tokens, and the code
points that its NFC may change. Run with tokenizers == 0.23.3:

    make_tokenizer_unicode.py > src/tokenizer/unicode_classes.inc
"""
import unicodedata

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

LETTER, NUMBER, SPACE, WORD, NFC_ACTIVE = 1, 2, 4, 8, 16
CODE_POINTS = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]


def matched_by(pattern):
    """Code points that one-character `pattern` matches."""
    split = pre_tokenizers.Split(Regex(pattern), "removed")
    found = set()
    for i in range(0, len(CODE_POINTS), 4096):
        chunk = [chr(c) for c in CODE_POINTS[i : i + 4096]]
        kept = set("".join(piece for piece, _ in split.pre_tokenize_str("".join(chunk))))
        found |= {ord(c) for c in chunk if c not in kept}
    return found


def word_characters():
    """Code points next to which a single_word token is refused."""
    tokenizer = Tokenizer(models.BPE({"z": 0}, []))
    tokenizer.add_tokens([AddedToken("@", single_word=True, normalized=False)])
    at = tokenizer.token_to_id("@")
    return {c for c in CODE_POINTS if at not in tokenizer.encode(chr(c) + "@").ids and chr(c) != "@"}


def nfc_active():
    """Code points that NFC may reorder, change, or compose with what stands before them."""
    nfc = normalizers.NFC().normalize_str
    active = set()
    for c in CODE_POINTS:
        s = chr(c)
        alone = nfc(s) != s
        reorders_left = nfc("x\u0345" + s) != "x\u0345" + s  # U+0345: combining class 240
        reorders_right = nfc("x" + s + "\u0334") != "x" + s + "\u0334"  # U+0334: class 1
        if alone or reorders_left or reorders_right or s in "\u0345\u0334":
            active.add(c)
    for c in CODE_POINTS:  # second halves of compositions, Hangul vowels and finals among them
        parts = unicodedata.normalize("NFD", chr(c))
        for n in range(1, len(parts)):
            first, second = unicodedata.normalize("NFC", parts[:n]), parts[n]
            if len(first) == 1 and len(nfc(first + second)) == 1:
                active.add(ord(second))
    return active


def main():
    classes = [0] * 0x110000
    for members, bit in (
        (matched_by(r"\p{L}"), LETTER),
        (matched_by(r"\p{N}"), NUMBER),
        (matched_by(r"\s"), SPACE),
        (word_characters(), WORD),
        (nfc_active(), NFC_ACTIVE),
    ):
        for c in members:
            classes[c] |= bit
    runs = [(c, k) for c, k in enumerate(classes) if c == 0 or k != classes[c - 1]]
    print("// Made by tests/goldens/make_tokenizer_unicode.py with tokenizers "
          f"{tokenizers.__version__}; {len(runs)} runs {{first code point, classes}}.")
    line = ""
    for c, k in runs:
        item = f"{{0x{c:X}, {k}}}, "
        if len(line) + len(item) > 100:
            print(line.rstrip())
            line = ""
        line += item
    print(line.rstrip())


main()
