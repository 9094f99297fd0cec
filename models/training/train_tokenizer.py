"""Train the byte-level BPE tokenizer of nano and nano-moe on our own corpus.

Pre-tokenizer, normalizer and control tokens are the official Qwen3 ones (facts of the format);
vocabulary and merges are ours. Ids: the 256 bytes first (GPT-2 order), merges, then the 26 control tokens.
Usage: train_tokenizer.py OUT_DIR
"""
import json
import random
import re
import shutil
import sys
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

import corpus
from sample import plain, segments

VOCAB_SIZE = 2560  # with the control tokens
SAMPLES = 60_000
SEED = 7
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPECIAL = (
    "<|endoftext|> <|im_start|> <|im_end|> <|object_ref_start|> <|object_ref_end|> <|box_start|> <|box_end|> "
    "<|quad_start|> <|quad_end|> <|vision_start|> <|vision_end|> <|vision_pad|> <|image_pad|> <|video_pad|>"
).split()
ORDINARY = (
    "<tool_call> </tool_call> <|fim_prefix|> <|fim_middle|> <|fim_suffix|> <|fim_pad|> <|repo_name|> <|file_sep|> "
    "<tool_response> </tool_response> <think> </think>"
).split()
CONTROL = re.compile("|".join(re.escape(t) for t in SPECIAL + ORDINARY))


def texts():
    r = random.Random(SEED)
    for _ in range(SAMPLES):
        s = corpus.draw(r)
        if s.task == "arc" and r.random() < 0.9:
            continue
        yield from CONTROL.split(plain("".join(t for t, _ in segments(s))))


def build():
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.NFC()
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(SPLIT), behavior="isolated", invert=False),
        pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False),
    ])
    t.post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    t.decoder = decoders.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE - len(SPECIAL) - len(ORDINARY), min_frequency=4, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    t.train_from_iterator(texts(), trainer)
    t.add_special_tokens([AddedToken(x, normalized=False, special=True) for x in SPECIAL])
    t.add_tokens([AddedToken(x, normalized=False, special=False) for x in ORDINARY])
    return t


def main():
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    t = build()
    raw = json.loads(t.to_str())
    raw["model"].update(continuing_subword_prefix="", end_of_word_suffix="")
    (out / "tokenizer.json").write_text(json.dumps(raw, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    decoder = {
        str(a["id"]): {k: a[k] for k in ("content", "lstrip", "normalized", "rstrip", "single_word", "special")}
        for a in raw["added_tokens"]
    }
    config = {
        "add_bos_token": False, "add_prefix_space": False, "added_tokens_decoder": decoder,
        "additional_special_tokens": SPECIAL[1:], "bos_token": None, "clean_up_tokenization_spaces": False,
        "eos_token": "<|im_end|>", "errors": "replace", "model_max_length": 2048, "pad_token": "<|endoftext|>",
        "split_special_tokens": False, "tokenizer_class": "Qwen2Tokenizer", "unk_token": None,
    }
    (out / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
    shutil.copy(Path(__file__).with_name("chat_template.jinja"), out)
    print(f"{t.get_vocab_size()} entries, {len(raw['model']['merges'])} merges")


if __name__ == "__main__":
    main()
