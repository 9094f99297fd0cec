#!/usr/bin/env python3
"""Makes the tokenizer's goldens with Hugging Face `tokenizers` (0.23.3 made the committed files).

    make_tokenizer_goldens.py tiny                      tests/data/tiny_tokenizer/tokenizer.json
    make_tokenizer_goldens.py goldens tokenizer.json    tests/goldens/tokenizer_{qwen3,tiny,variants}.jsonl

`tiny` trains a small byte-level BPE with Qwen3's pre-tokenizer and added tokens. `goldens` takes the
official tokenizer.json of Qwen3. All texts come from seeded generators below.

Lines of a golden file:
    {"t": text, "i": [ids]}                   encode
    {"u": unit, "n": times, "r": [[id, count], ...]}   encode a long run; ids run-length coded
    {"d": [ids], "k": text, "s": text}        decode, special tokens kept and skipped
    {"variant": name, "patch": {...}}         the next lines: the tiny file after this JSON merge patch
"""
import copy
import itertools
import json
import random
import sys
import unicodedata
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
from tokenizers import pre_tokenizers, processors, trainers

ROOT = Path(__file__).resolve().parent.parent
TINY = ROOT / "data" / "tiny_tokenizer" / "tokenizer.json"
QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
         r"|\s*[\r\n]+|\s+(?!\S)|\s+")
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>",
           "<|object_ref_end|>", "<|box_start|>", "<|box_end|>", "<|quad_start|>", "<|quad_end|>",
           "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"]
NOT_SPECIAL = ["<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>",
               "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>", "<tool_response>",
               "</tool_response>", "<think>", "</think>"]
SENTENCES = [
    "The quick brown fox jumps over the lazy dog; it's faster than you'd think, isn't it?",
    "I'm sure they'll say we've seen it. 'S fine, 'T WAS, YOU'RE, he'D, I'LL, WE'VE, 'M",
    "Zażółć gęślą jaźń, ależ pięknie!", "Portez ce vieux whisky au juge blond qui fume à Noël.",
    "Falsches Üben von Xylophonmusik quält jeden größeren Zwerg.",
    "El pingüino Wenceslao hizo kilómetros bajo exhaustiva lluvia.",
    "Pijamalı hasta yağız şoföre çabucak güvendi.", "Bạn có khỏe không? Tôi rất khỏe, cảm ơn.",
    "Съешь же ещё этих мягких французских булок, да выпей чаю.",
    "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία.", "דג סקרן שט בים מאוכזב ולפתע מצא חברה",
    "نص حكيم له سر قاطع وذو شأن عظيم مكتوب على ثوب أخضر", "بِسْمِ اللَّهِ الرَّحْمَٰنِ",
    "ऋषियों को सताने वाले दुष्ट राक्षसों के राजा रावण", "আমার সোনার বাংলা, আমি তোমায় ভালোবাসি",
    "ਸਤ ਸ੍ਰੀ ਅਕਾਲ ਜੀ", "ગુજરાતી ભાષા સુંદર છે", "தமிழ் மொழி இனிமையானது", "తెలుగు భాష తీయనైనది",
    "ಕನ್ನಡ ನಾಡು ನುಡಿ", "മലയാളം മനോഹരമാണ്", "සිංහල භාෂාව", "เป็นมนุษย์สุดประเสริฐเลิศคุณค่า",
    "ສະບາຍດີ ທຸກຄົນ", "မြန်မာဘာသာစကား", "ភាសាខ្មែរ ពិសេស", "བོད་སྐད་ཡིག", "ქართული ენა მშვენიერია",
    "Հայերեն լեզու", "ሰላም ለዓለም", "ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ", "ᐃᓄᒃᑎᑐᑦ", "ᠮᠣᠩᠭᠣᠯ ᠪᠢᠴᠢᠭ",
    "我能吞下玻璃而不伤身体。你好，世界！", "天地玄黃，宇宙洪荒。日月盈昃，辰宿列張。",
    "いろはにほへと ちりぬるを。カタカナとﾊﾝｶｸ、全角ＡＢＣ１２３！", "키스의 고유조건은 입술끼리 만나야 하고 특별한 기술은 필요치 않다.",
    "🚀 emoji 👩‍👩‍👧‍👦 👍🏽 🇩🇪🇯🇵 ❤️ ☃︎ 😶‍🌫️ 1️⃣", "∀x∈ℝ: ⌈x⌉ = −⌊−x⌋, α ∧ ¬β → γ, ∑ᵢ₌₁ⁿ i² ≠ ∞ ½ Ⅷ ⑩ ㈱",
    "price: $1,234.56 (-7.8%) on 2024-02-29T23:59:59Z, tel +49 30 123456, 0xDEADBEEF, 1e-9",
    "def f(x: int) -> str:\n    return f\"{x!r}\"  # comment\n\n\nclass A(B):\n\tpass\n",
    "#include <vector>\nint main() {\n  std::vector<int> v{1, 2, 3};\n  return v[0] == 1 ? 0 : -1;\n}\n",
    "SELECT a.id, COUNT(*) FROM t AS a WHERE a.x IS NOT NULL GROUP BY 1;\r\n-- done\r\n",
    '{"name": "f", "arguments": {"x": 1, "y": [true, null]}}', "<html>\n<body class='a b'>&nbsp;</body>",
    "https://example.org/path?query=1&b=%20#frag user@host.example C:\\dir\\file.txt ~/a/b",
    "```python\nprint('hi')\n```\n\n| a | b |\n|---|---|\n- item\n  * nested\n> quote **bold** _it_",
]
SPACES = [" ", "  ", "   ", "\t", "\n", "\n\n", "\r\n", "\r", "\u00a0", "\u3000", "\u2028", "\u2029",
          "\u0085", "\x0b", "\x0c", "\u1680", "\u2003", "\u200b", "\ufeff", "\x1c", "\u202f", "\u205f"]
MARKS = [chr(c) for c in itertools.chain(range(0x300, 0x370), range(0x591, 0x5BE),
                                         range(0x64B, 0x660), [0x5C7, 0xF71, 0xF72, 0xF74, 0x1DFA,
                                         0x344, 0x343, 0x3099, 0x309A, 0x20D0, 0x1E944, 0x1D165])]
NFC_BASES = [chr(c) for c in itertools.chain(
    b"aAeEoOuUcCnNsSyYzZ", range(0x1EA0, 0x1EF9), [0x212B, 0x2126, 0x958, 0x9DC, 0xDDD, 0xB48, 0x1100,
    0x1161, 0x11A8, 0xAC00, 0xAC01, 0xD7A3, 0xF900, 0xFA10, 0x2F800, 0xFB1D, 0x1F82, 0x3B1, 0x115B9,
    0x11935, 0x1112E, 0x1D15E, 0x2ADC, 0x340, 0x387, 0x2000, 0x2329])]
BLOCKS = [(0x80, 0x24F), (0x250, 0x2FF), (0x370, 0x52F), (0x530, 0x6FF), (0x700, 0x8FF), (0x900, 0xDFF),
          (0xE00, 0xFFF), (0x1000, 0x139F), (0x13A0, 0x17FF), (0x1800, 0x1CFF), (0x1D00, 0x1FFF),
          (0x2000, 0x2BFF), (0x2C00, 0x2FDF), (0x3000, 0x33FF), (0x3400, 0x9FFF), (0xA000, 0xABFF),
          (0xAC00, 0xD7FF), (0xE000, 0xFFFD), (0x10000, 0x11FFF), (0x12000, 0x16FFF), (0x17000, 0x1BFFF),
          (0x1CF00, 0x1FFFF), (0x20000, 0x323AF), (0xE0000, 0xE01EF), (0xF0000, 0x10FFFF)]


def random_char(rng, low=1, high=0x10FFFF):
    while True:
        c = rng.randint(low, high)
        if not 0xD800 <= c <= 0xDFFF:
            return chr(c)


def short_texts(seed, scale):
    """Some texts of every kind, about 110 * scale + 150 in all."""
    rng = random.Random(seed)
    controls = SPECIAL + NOT_SPECIAL
    words = [w for s in SENTENCES for w in s.split(" ")]
    yield from ["", " ", "a", "\x00", "a\x00b", "\x7f", "\U0010ffff", "\ufffd", "'ſa 'ſ 'S's''s"]
    yield from SENTENCES
    yield from (unicodedata.normalize("NFD", s) for s in SENTENCES)
    for c in controls:  # whole, cut, doubled, inside a word, in other case
        yield from [c, f"a{c}b", f" {c} {c}\n{c}{c}", c[:-1], c[1:], c[:4] + c, c.upper(), c + c[:5] + " x"]
    for _ in range(scale * 20):  # words of all languages mixed
        yield "".join(rng.choice(words) + rng.choice(SPACES[:2] + [" "] * 9) for _ in range(rng.randint(2, 9)))
    for _ in range(scale * 12):  # white space between short things
        yield "".join(rng.choice(SPACES) if rng.random() < 0.7 else rng.choice(["a", "1", "!", "é", "中", "' "])
                      for _ in range(rng.randint(2, 14)))
    for low, high in BLOCKS:  # every script
        for _ in range(scale):
            yield "".join(random_char(rng, low, high) if rng.random() < 0.85 else " " for _ in range(rng.randint(2, 10)))
    for _ in range(scale * 12):  # NFC
        yield "".join(rng.choice(NFC_BASES) + "".join(rng.choice(MARKS) for _ in range(rng.choice([0, 1, 1, 2, 3, 6])))
                      for _ in range(rng.randint(1, 5)))
    for _ in range(scale * 12):  # control tokens in text
        yield "".join(rng.choice([rng.choice(controls), rng.choice(words), " ", "\n", "<", "|>", "<|", "́"])
                      for _ in range(rng.randint(2, 9)))
    for _ in range(scale * 10):  # numbers and symbols
        yield "".join(rng.choice(list("0123456789.,-+%$ ") + ["٣", "½", "Ⅷ", "१", "²", "==", "/*", "...", "''"])
                      for _ in range(rng.randint(2, 16)))
    for _ in range(scale * 10):  # anything
        yield "".join(random_char(rng) if rng.random() < 0.4 else chr(rng.randint(0, 0x2FF)) for _ in range(rng.randint(1, 12)))
    for _ in range(scale * 8):  # runs
        yield "".join(rng.choice(["a", "A", " ", "\n", "=", "-", "́", "中", "0", "👩‍", "\r\n", "ab", "аб", "!"]) *
                      rng.randint(1, 24) for _ in range(rng.randint(1, 3)))
    for _ in range(scale * 4):  # words without any vowel sense, long
        yield "".join(rng.choice("abcdefghijklmnopqrstuvwxyzABCXYZ_äöüжшя中文字") for _ in range(rng.randint(20, 90)))


RUNS = ["A", "a", " ", "\n", "7", "́", "è̖", "👩‍", "ab", "a ", " \n", "é", "中", "中文字", "!", "=", "\t",
        "<", "<|im_start", "<|im_end|>", "'s", "\r\n", "ā́̂", "각", "\u3000", "acgt", "Ab1!"]


def run_length(ids):
    return [[i, len(list(group))] for i, group in itertools.groupby(ids)]


def write_cases(out, tokenizer, texts, runs=(), decode_seed=None, n_decode=0):
    dump = lambda value: out.write(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n")
    n = 0
    for text in texts:
        dump({"t": text, "i": tokenizer.encode(text, add_special_tokens=False).ids})
        n += 1
    for unit, times in runs:
        ids = tokenizer.encode(unit * times, add_special_tokens=False).ids
        if len(run_length(ids)) <= 600:
            dump({"u": unit, "n": times, "r": run_length(ids)})
            n += 1
    rng = random.Random(decode_seed)
    size = tokenizer.get_vocab_size()
    for i in range(n_decode):
        limit = [256, size, size + 50][i % 3]
        ids = [rng.randrange(limit) if rng.random() < 0.9 else size - 1 - rng.randrange(26)
               for _ in range(rng.randint(1, 12))]
        dump({"d": ids, "k": tokenizer.decode(ids, skip_special_tokens=False),
              "s": tokenizer.decode(ids, skip_special_tokens=True)})
        n += 1
    return n


def make_tiny():
    rng = random.Random(7)
    words = [w for s in SENTENCES for w in s.split(" ")]
    corpus = SENTENCES * 3 + [" ".join(rng.choice(words) for _ in range(30)) for _ in range(60)]
    corpus += ["a" * 64, "A" * 16, " " * 32 + "x", "\n" * 16 + "x", "=" * 32, "-" * 16, "\t" * 8 + "x"] * 8
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    byte_level = dict(add_prefix_space=False, trim_offsets=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(QWEN2), "isolated"), pre_tokenizers.ByteLevel(**byte_level)])
    tokenizer.post_processor = processors.ByteLevel(**byte_level)
    tokenizer.decoder = decoders.ByteLevel(**byte_level)
    tokenizer.train_from_iterator(corpus, trainers.BpeTrainer(
        vocab_size=256 + 500, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    for contents, special in ((SPECIAL, True), (NOT_SPECIAL, False)):
        for c in contents:
            token = AddedToken(c, special=special, normalized=False)
            (tokenizer.add_special_tokens if special else tokenizer.add_tokens)([token])
    TINY.parent.mkdir(parents=True, exist_ok=True)
    TINY.write_text(tokenizer.to_str(pretty=False) + "\n")


def variants(tiny):
    """Names and merge patches of files that differ from the tiny one in one respect."""
    added = tiny["added_tokens"]
    n = max(t["id"] for t in added) + 1
    flags = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=False)

    def with_tokens(*tokens):
        new = [{"id": n + i, "content": c, **flags, **f} for i, (c, f) in enumerate(tokens)]
        return {"added_tokens": added + new}

    yield "legacy merges", {"model": {"merges": [" ".join(m) for m in tiny["model"]["merges"]]}}
    yield "ignore merges", {"model": {"ignore_merges": True, "merges": tiny["model"]["merges"][:40]}}
    yield "first merges only", {"model": {"merges": tiny["model"]["merges"][:40]}}
    yield "merges reversed", {"model": {"merges": tiny["model"]["merges"][::-1]}}
    yield "no normalizer", {"normalizer": None}
    yield "gpt2 expression", {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False,
                                                "trim_offsets": True, "use_regex": True,
                                                "pretokenizers": None}}
    yield "strip", with_tokens(("<l>", dict(lstrip=True)), ("<r>", dict(rstrip=True)),
                               ("<lr>", dict(lstrip=True, rstrip=True, special=True)))
    yield "single word", with_tokens(("<w>", dict(single_word=True)), ("word", dict(single_word=True)),
                                     ("wo", {}), ("wordless", {}))
    yield "normalized", with_tokens(("éé", dict(normalized=True)), ("cafe\u0301", {}), ("ﬁn", dict(normalized=True)),
                                    ("<n>", dict(normalized=True, lstrip=True)), ("ÅÅ", {}))
    yield "overlapping", with_tokens(("ab", {}), ("abcd", {}), ("bcde", {}), ("cd", {}), ("aaa", {}), ("a" * 9, {}), ("<|im_start|>x", {}))


VARIANT_TEXTS = ["<l>", " <l> ", "a \n<l> b", "  <r>  ", "x\t<lr>\u3000y<lr> <l> <r> <l>", "<r><l>", "<r> \n <l>",
                 "<lr><lr>  <lr>x", "<w>", "a<w>", "<w>a", "a <w> b", "_<w>", "é<w>", "<w>\u0301", "1<w>", "!<w>?",
                 "<w><w>", "中<w>", "\u200d<w>", "Ⓐ<w>", "word", "words", "sword", "a word.", "word-word", "wordless",
                 "two words wo", "wordword", "woword word", "é", "e\u0301", "café", "cafe\u0301", "caffe\u0301", "ﬁn fin ﬁ",
                 "a <n> b", "  <n>", "ÅÅ Å\u212b A\u030aÅ", "éé", "e\u0301é", "ée\u0301", "abcde", "abcd", "abce", "aabcdabcde", "a" * 25, "aaab", "bcdecd", "<|im_start|>xy",
                 "12345 ٣٤½", " 123abc", "don't DON'T 'tis", "a\n\n b  c\r\nd", "hello  world\n", "\u0301a"]


def make_goldens(official_path):
    goldens = ROOT / "goldens"
    official = Tokenizer.from_file(official_path)
    with open(goldens / "tokenizer_qwen3.jsonl", "w") as out:
        runs = [(u, t) for u in RUNS for t in (1000, 65536)]
        print(write_cases(out, official, short_texts(1, 18), runs, 2, 300), "cases of Qwen3")
    tiny = json.loads(TINY.read_text())
    with open(goldens / "tokenizer_tiny.jsonl", "w") as out:
        runs = [(u, t) for u in RUNS for t in (1000, 65536)]
        print(write_cases(out, Tokenizer.from_file(str(TINY)), short_texts(3, 3), runs, 4, 90), "cases of tiny")
    with open(goldens / "tokenizer_variants.jsonl", "w") as out:
        for name, patch in variants(tiny):
            changed = merge_patch(copy.deepcopy(tiny), patch)
            tokenizer = Tokenizer.from_str(json.dumps(changed))
            out.write(json.dumps({"variant": name, "patch": patch}, ensure_ascii=False, separators=(",", ":")) + "\n")
            rng = random.Random(5)
            mixed = ["".join(rng.choice(VARIANT_TEXTS + [" ", "\n"]) for _ in range(4)) for _ in range(40)]
            print(write_cases(out, tokenizer, VARIANT_TEXTS + mixed + SENTENCES[:6]), "cases of", name)


def merge_patch(target, patch):  # RFC 7396
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict) and isinstance(target.get(key), dict):
            merge_patch(target[key], value)
        else:
            target[key] = value
    return target


if sys.argv[1:] == ["tiny"]:
    make_tiny()
elif len(sys.argv) == 3 and sys.argv[1] == "goldens":
    make_goldens(sys.argv[2])
else:
    sys.exit(__doc__)
