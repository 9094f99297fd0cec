#!/bin/sh
# Answers a file of conversations in one batch, with the program alone. Run it again after a kill: it goes on.
#   ./batch.sh MODEL QUESTIONS ANSWERS
set -eu
model=$1 questions=$2 answers=$3
# Each conversation by the model's own template: {"prompt":"<|im_start|>user\n…"}. These are not to be taken from people
# whom you do not trust: as prompts, control tokens that a message spells are control tokens.
qwen3 render -m "$model" < "$questions" > "$answers.prompts.jsonl"
# Many at once; the answers come in the order of the questions. Until all are there they stand in ANSWERS.partial.
qwen3 generate -m "$model" --prompts "$answers.prompts.jsonl" --out "$answers" --batch 32 --temperature 0 --max-tokens 256
