#!/usr/bin/env python3
"""Scores answers to IFEval's prompts (arXiv:2311.07911): which of the instructions of a prompt an answer follows. Needs
nothing but Python.

    score_ifeval.py out/ifeval-answers.jsonl [--details out/ifeval-details.jsonl] [--packages]

Four numbers, as there: a prompt counts when all its instructions are followed; loose also accepts the answer without its
first line, its last line, or its asterisks. Three things need packages, which --packages takes (requirements-packages.txt):
the 25th instruction, language:response_language, whose prompts are left out and counted otherwise; that capitals or small
letters are English; and sentences as the authors' program parts them, which otherwise end at . ! ? before white space.
"""
import argparse
import json
import pathlib
import re
import sys


def compare(n: int, relation: str, limit: int) -> bool:
    if relation not in ("at least", "less than"):
        raise ValueError(f'relation: expected "at least" or "less than", got {relation!r}')
    return n >= limit if relation == "at least" else n < limit


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text)


def sentences(text: str) -> list[str]:
    return [part for part in re.split(r"(?<=[.!?])\s+", text.strip()) if part]


def n_bullets(text: str) -> int:
    return len(re.findall(r"^\s*\*[^\*].*$", text, re.M)) + len(re.findall(r"^\s*-.*$", text, re.M))


def n_highlights(text: str) -> int:
    single = [part for part in re.findall(r"\*[^\n\*]*\*", text) if part.strip("*").strip()]
    double = [part for part in re.findall(r"\*\*[^\n\*]*\*\*", text) if part.removeprefix("**").removesuffix("**").strip()]
    return len(single) + len(double)


def parts_between(text: str, mark: str) -> list[str] | None:
    """What stands between marks; None when one between two marks is empty. At the ends there may be nothing."""
    parts = re.split(mark, text)
    kept = [part for i, part in enumerate(parts) if part.strip() or 0 < i < len(parts) - 1]
    return None if any(not part.strip() for part in kept) else kept


def is_json(text: str) -> bool:
    text = text.strip()
    for fence in ("```json", "```Json", "```JSON", "```"):
        text = text.removeprefix(fence)
    try:
        json.loads(text.removesuffix("```").strip())
        return True
    except (ValueError, RecursionError):
        return False


def nth_paragraph(text: str, num_paragraphs: int, nth_paragraph: int, first_word: str) -> bool:
    paragraphs = re.split(r"\n\n", text)
    if len([one for one in paragraphs if one.strip()]) != num_paragraphs or nth_paragraph > num_paragraphs:
        return False
    begin = paragraphs[nth_paragraph - 1].split()
    return bool(begin) and re.split(r"[.,?!'\"]", begin[0].lstrip("'").lstrip('"'))[0].lower() == first_word.lower()


# Where the authors' tokenizer, NLTK's, parts a text into words, but for single quotes, which have no case.
BETWEEN_WORDS = re.compile(r"""[\s"`«»“”„‘’;@#$%&?!*()\[\]{}<>\u2012-\u2015]|''|--|\.{2,}|[:,](?=\D|$)""")
CLITIC = re.compile(r"(?<=[^'])('[sSmMdD]|'ll|'LL|'re|'RE|'ve|'VE|n't|N'T)$")
CONTRACTION = re.compile(r"\b(can(?=not\b)|d(?='ye\b)|gim(?=me\b)|gon(?=na\b)|got(?=ta\b)|lem(?=me\b)|more(?='n\b)|wan(?=na\b))",
                         re.I)


def n_capital_words(text: str) -> int:
    tokens = [part for token in BETWEEN_WORDS.split(text) for part in CLITIC.sub(r" \1", token).split()]
    return sum(part.isupper() for token in tokens for part in CONTRACTION.sub(r"\1 ", token).split())


def has_postscript(text: str, marker: str) -> bool:
    pattern = {"P.P.S": r"p\.\s?p\.\s?s", "P.S.": r"p\.\s?s\."}.get(marker, marker.lower())
    return re.search(pattern, text.lower()) is not None


def count_of(text: str, keyword: str) -> int:
    return len(re.findall(keyword, text, re.I))


JUDGES = {
    "keywords:existence": lambda a, keywords: all(count_of(a, one) for one in keywords),
    "keywords:frequency": lambda a, keyword, frequency, relation: compare(count_of(a, keyword), relation, frequency),
    "keywords:forbidden_words": lambda a, forbidden_words: not any(count_of(a, rf"\b{one}\b") for one in forbidden_words),
    "keywords:letter_frequency":
        lambda a, letter, let_frequency, let_relation: compare(a.lower().count(letter.lower()), let_relation, let_frequency),
    "length_constraints:number_sentences":
        lambda a, num_sentences, relation: compare(len(sentences(a)), relation, num_sentences),
    "length_constraints:number_paragraphs":
        lambda a, num_paragraphs: (found := parts_between(a, r"\s?\*\*\*\s?")) is not None and len(found) == num_paragraphs,
    "length_constraints:number_words": lambda a, num_words, relation: compare(len(words(a)), relation, num_words),
    "length_constraints:nth_paragraph_first_word": nth_paragraph,
    "detectable_content:number_placeholders": lambda a, num_placeholders: len(re.findall(r"\[.*?\]", a)) >= num_placeholders,
    "detectable_content:postscript": lambda a, postscript_marker: has_postscript(a, postscript_marker),
    "detectable_format:number_bullet_lists": lambda a, num_bullets: n_bullets(a) == num_bullets,
    "detectable_format:constrained_response":
        lambda a: any(f"My answer is {one}." in a for one in ("yes", "no", "maybe")),
    "detectable_format:number_highlighted_sections": lambda a, num_highlights: n_highlights(a) >= num_highlights,
    "detectable_format:multiple_sections":
        lambda a, section_spliter, num_sections: len(re.split(rf"\s?{section_spliter}\s?\d+\s?", a)) - 1 >= num_sections,
    "detectable_format:json_format": is_json,
    "detectable_format:title": lambda a: any(one.lstrip("<").rstrip(">").strip() for one in re.findall(r"<<[^\n]+>>", a)),
    "combination:two_responses":
        lambda a: (found := parts_between(a, r"\*{6}")) is not None and len(found) == 2 and found[0].strip() != found[1].strip(),
    "combination:repeat_prompt": lambda a, prompt_to_repeat: a.strip().lower().startswith(prompt_to_repeat.strip().lower()),
    "startend:end_checker": lambda a, end_phrase: a.strip().strip('"').lower().endswith(end_phrase.strip().lower()),
    "startend:quotation": lambda a: len(a.strip()) > 1 and a.strip()[0] == a.strip()[-1] == '"',
    "change_case:capital_word_frequency":
        lambda a, capital_frequency, capital_relation: compare(n_capital_words(a), capital_relation, capital_frequency),
    "change_case:english_capital": str.isupper,
    "change_case:english_lowercase": str.islower,
    "punctuation:no_comma": lambda a: "," not in a,
}
LANGUAGE = "language:response_language"


def judges_with_packages() -> dict:
    try:
        import langdetect
        import punkt
    except ImportError as error:
        sys.exit(f"score_ifeval: --packages: {error}; pip install -r {pathlib.Path(__file__).parent}/requirements-packages.txt")
    langdetect.DetectorFactory.seed = 0  # it draws samples; this way the same each time

    def is_in(text: str, language: str) -> bool:
        try:
            return langdetect.detect(text) == language
        except langdetect.LangDetectException:  # no letters: the authors let it pass
            return True

    return JUDGES | {
        LANGUAGE: lambda a, language: is_in(a, language),
        "change_case:english_capital": lambda a: a.isupper() and is_in(a, "en"),
        "change_case:english_lowercase": lambda a: a.islower() and is_in(a, "en"),
        "length_constraints:number_sentences":
            lambda a, num_sentences, relation: compare(len(punkt.sent_tokenize(a)), relation, num_sentences),
    }


def loose_forms(answer: str) -> list[str]:
    lines = answer.split("\n")
    cut = [answer, "\n".join(lines[1:]).strip(), "\n".join(lines[:-1]).strip(), "\n".join(lines[1:-1]).strip()]
    return cut + [one.replace("*", "") for one in cut]


def judged(row: dict, where: str, judges: dict) -> list[tuple[bool, bool]] | None:
    """For each instruction whether it is followed, strictly and loosely; None when one of them is not judged here."""
    names = row["instruction_id_list"]
    if LANGUAGE in names and LANGUAGE not in judges:
        return None
    _, end, answer = (row["gen"][0] or "").rpartition("</think>")
    answer = answer.lstrip("\n") if end else answer
    verdicts = []
    for name, kwargs in zip(names, row["kwargs"]):
        if name not in judges:
            sys.exit(f"score_ifeval: {where}: {name}: expected an instruction of IFEval")
        given = {key: value for key, value in kwargs.items() if value is not None}
        try:
            follows = [bool(form.strip()) and bool(judges[name](form, **given)) for form in loose_forms(answer)]
        except (TypeError, ValueError, re.error) as error:
            sys.exit(f"score_ifeval: {where}: {name}: its kwargs are not those of IFEval ({error})")
        verdicts.append((follows[0], any(follows)))
    return verdicts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("answers", type=pathlib.Path)
    parser.add_argument("--details", type=pathlib.Path, help="every row with its verdicts")
    parser.add_argument("--packages", action="store_true", help="judge languages and sentences as the authors' program")
    given = parser.parse_args()
    judges = judges_with_packages() if given.packages else JUDGES
    rows = [json.loads(line) for line in given.answers.read_text(encoding="utf-8").splitlines() if line.strip()]
    all_verdicts = [judged(row, f"{given.answers}: line {number}", judges) for number, row in enumerate(rows, 1)]
    known = [one for one in all_verdicts if one is not None]
    if not known:
        sys.exit(f"score_ifeval: {given.answers}: expected at least one answer that can be judged")
    if given.details:
        given.details.write_text("".join(
            json.dumps({**row, "strict": verdict and [one[0] for one in verdict], "loose": verdict and [one[1] for one in verdict]},
                       ensure_ascii=False) + "\n" for row, verdict in zip(rows, all_verdicts)), encoding="utf-8")
    for way, name in enumerate(("strict", "loose")):
        flat = [one[way] for verdict in known for one in verdict]
        whole = [all(one[way] for one in verdict) for verdict in known]
        print(f"{name:7} prompts {sum(whole) / len(whole):.4f} ({sum(whole)} of {len(whole)})   "
              f"instructions {sum(flat) / len(flat):.4f} ({sum(flat)} of {len(flat)})")
    if len(known) < len(rows):
        print(f"not judged: {len(rows) - len(known)} prompts with {LANGUAGE}; --packages judges it")


if __name__ == "__main__":
    main()
