#!/usr/bin/env python3
"""Makes the goldens of this folder by running the official scorer.

    make.py FOLDER        FOLDER holds the official eval.py and arc_agi_1.py

Needs CPython 3.11 with numpy, PyYAML and tqdm. The scorer is imported from FOLDER for the single
answers and run as a program for the whole files; no rule of it is written here.

    answers.jsonl   [text, answer, acc, parsed]: what one text scores against one answer. parsed is
                    json.dumps of what was read, null when nothing was. acc is the name of the
                    exception where there was one.
    json.jsonl      [text, dump, true]: json.loads(text) dumped again with its truth value, or
                    [text, null, message]
    equal.jsonl     [text, text, equal]: whether the values of two JSON texts are ==
    rows.jsonl      answers to 400 tasks (419 rows), the base of the whole files
    files.jsonl     {"name", "lines": {number: text}, "cut", "append", "end", "out", "error",
                    "details"}: rows.jsonl with some lines replaced, cut after so many, with a text
                    appended and another line end; then the line that was printed or the exception,
                    and the SHA-256 of the details file (null: there is none)
"""
import contextlib
import hashlib
import io
import json
import pathlib
import random
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
official = pathlib.Path(sys.argv[1]).resolve()
sys.path.insert(0, str(official))
import arc_agi_1  # noqa: E402
import eval as official_eval  # noqa: E402

N_ANSWERS = 6000
N_JSON = 2500
N_EQUAL = 1200

dice = random.Random(20260101)
SPACES = [" ", "\n", "\t", "\r\n", "\x0b", "\x0c", "\x1c", "\x1f", "\x85", "\u00a0", "\u1680",
          "\u2003", "\u2028", "\u202f", "\u205f", "\u3000", "\u200b", "\ufeff", "\u180e"]
DIGITS = ["0", "7", "\u0663", "\u06f4", "\u0967", "\uff15", "\U0001d7d9", "\U0001fbf3", "\u00b2",
          "\u2167", "\u4e09", "\U00011f52"]
PIECES = ["[", "]", "[[", "]]", ",", "1", "2", " ", "\n", "`", "```", "```json", "```python",
          "```js", "</think>", "\n</think>\n\n", "<think>", '"', "{", "}", ":", "null", "x", "-",
          ".", "e", "NaN", "true", "\\", "\u00e9", "\U0001f600", "\ud800"]


def grid(cells=None):
    width, height = dice.randint(1, 4), dice.randint(1, 4)
    pick = cells or (lambda: dice.randint(0, 9))
    return [[pick() for _ in range(width)] for _ in range(height)]


def show(value):
    """A JSON text of the value, in one of many spellings."""
    style = dice.randrange(8)
    if style == 0:
        return json.dumps(value, separators=(",", ":"))
    if style == 1:
        return json.dumps(value, indent=dice.randint(0, 4))
    if style == 2 and isinstance(value, list) and value and isinstance(value[0], list):
        return "[\n" + ",\n".join("    " + json.dumps(row) for row in value) + "\n]"
    if style == 3:
        return dice.choice(SPACES) + json.dumps(value) + dice.choice(SPACES)
    if style == 4:
        return json.dumps(value).replace(" ", dice.choice(SPACES))
    return json.dumps(value)


def spelled_otherwise(answer):
    """The answer with other types in its cells: often still equal."""
    if not all(type(c) is int for row in (answer if type(answer) is list else [None]) for c in (row if type(row) is list else [None])):
        return answer
    cell = dice.choice([float, bool, str, lambda c: [c], lambda c: c + 0.5, lambda c: -c,
                        lambda c: True if c == 1 else False if c == 0 else c,
                        lambda c: None if dice.random() < 0.3 else c,
                        lambda c: float("nan") if dice.random() < 0.3 else c,
                        lambda c: 10 ** 20 + c, lambda c: float(10 ** 20 + c)])
    return [[cell(c) for c in row] for row in answer]


def strange_value():
    return dice.choice([[], {}, 0, 1, "", "x", None, True, False, 0.0, -0.0, float("nan"),
                        float("inf"), [[]], [[], []], [0], {"grid": [[1]]}, "[[1]]", 5, [[1], 2],
                        10 ** 30, {"a": {"b": [1.5, None]}}, [float("nan")], "\u00e9\ud800"])


def fence(body):
    """A fenced block, well made or not."""
    ticks = dice.choice(["```"] * 8 + ["````", "``", "~~~", "`` `"])
    language = dice.choice(["json"] * 6 + ["python"] * 3 + ["", "JSON", "js", "jsonc", "py", " json"])
    before = dice.choice(["\n"] * 6 + ["", " ", "\n\n"] + SPACES)
    after = dice.choice(["\n"] * 6 + ["", " ", "\n\n"] + SPACES)
    close = dice.choice([ticks] * 8 + ["", "``", "```json", "````"])
    return ticks + language + before + body + after + close


def broken(text):
    """The text with a few characters lost, doubled or put in."""
    out = list(text)
    for _ in range(dice.randint(1, 3)):
        at = dice.randrange(len(out) + 1)
        what = dice.randrange(3)
        if what == 0 and at < len(out):
            del out[at]
        elif what == 1:
            out.insert(at, dice.choice(PIECES + DIGITS + SPACES))
        elif at < len(out):
            out.insert(at, out[at])
    return "".join(out)


def prose():
    return dice.choice(["So the grid is ", "Here it is:\n\n", "The rule: colour 1 becomes 2.\n", "",
                        "I think [[1, 2]] is wrong, rather ", "[note] ", "x = [1, [2]]; ", "```",
                        "`a`, ", "input [[0]] gives\n", "[[", "]] "])


def answer_text(answer):
    value = dice.choice([answer] * 5 + [grid(), spelled_otherwise(answer), strange_value()])
    body = show(value)
    if dice.random() < 0.15:
        body = broken(body)
    if dice.random() < 0.05:
        body = body.replace("1", dice.choice(DIGITS))
    kind = dice.randrange(10)
    if kind == 0:
        text = body
    elif kind <= 4:
        text = prose() + fence(body) + prose()
    elif kind == 5:
        text = prose() + fence(show(grid())) + prose() + fence(body) + prose()
    elif kind == 6:
        text = prose() + body + prose()
    elif kind == 7:
        text = prose() + show(grid()) + prose() + body
    elif kind == 8:
        text = "".join(dice.choice(PIECES + DIGITS + SPACES) for _ in range(dice.randint(0, 25)))
    else:
        text = prose() + "[" * dice.randint(0, 3) + body + "]" * dice.randint(0, 3) + prose()
    if dice.random() < 0.05:
        text = broken(text)
    thought = dice.randrange(14)
    if thought == 0:
        text = "<think>\nLet me see: " + fence(show(grid())) + "\n</think>\n\n" + text
    elif thought == 1:
        text = "<think>\n\n</think>\n\n" + text
    elif thought == 2:
        text = "<think>a\n</think>\n\n" + text + "\n</think>\n\n" + show(answer)
    elif thought == 3:
        text = "Hm." + dice.choice(["</think>", "\n</think>\n", "\n</think>\r\n\r\n"]) + text
    elif thought == 4:
        text = text + "\n</think>\n\n"
    return text


def joins_surrogates(text):
    """Half pairs side by side would be joined by reading the golden."""
    return any(0xD800 <= ord(a) < 0xDC00 <= ord(b) < 0xE000 for a, b in zip(text, text[1:]))


def score(text, answer):
    with contextlib.redirect_stdout(io.StringIO()) as said:
        try:
            parsed = arc_agi_1.parse_model_output(official_eval.get_after_think(text))
            acc = 0.0 if parsed is None else arc_agi_1.solution_score(parsed, answer)
        except (RecursionError, ValueError) as error:
            return type(error).__name__, None, "exception"
    branch = said.getvalue().strip() or ("null" if parsed is None else "parsed")
    return acc, None if parsed is None else json.dumps(parsed, ensure_ascii=False), branch


def write_lines(name, lines):
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    (HERE / name).write_text(text, encoding="ascii")
    print(f"{name}: {len(lines)} lines, {len(text)} bytes")


def make_answers():
    lines, branches = [], {}
    fixed = ["[" * 1500, "x" + "[" * 1500, "```json\n" + "[" * 1500 + "\n```", "9" * 4300,
             "9" * 4301, "```json\n-" + "9" * 4301 + "```", "[[" + "9" * 4301 + "]]", "", " ", "``````",
             "```json```", "```json", "```json ```json [[1]] ```", "[[]]", "[[[]]]", "[[ ]] [[1]]",
             "[[1]]]]", "[[1]] ]]", "[[[[1]]", "]] [[", "[[1]\n]", "\ufeff[[1]]", "```json\n\ufeff[[1]]```"]
    while len(lines) < N_ANSWERS:
        answer = dice.choice([grid()] * 30 + [[[1]], [[float("nan")]], [], None, 0, strange_value()])
        text = fixed[len(lines)] if len(lines) < len(fixed) else answer_text(answer)
        if len(lines) < len(fixed):
            answer = [[1]]
        parsed_answer = json.dumps(answer)
        if joins_surrogates(text):
            continue
        acc, parsed, branch = score(text, json.loads(parsed_answer))
        if parsed is not None and joins_surrogates(parsed):
            continue
        key = (branch, str(acc), "fence" if "```" in text else "bare")
        branches[key] = branches.get(key, 0) + 1
        lines.append([text, answer, acc, parsed])
    for key, count in sorted(branches.items()):
        print("  ", count, *key)
    assert len(branches) >= 12, "some branch of the rules is not reached"
    write_lines("answers.jsonl", lines)


def json_text():
    kind = dice.randrange(6)
    if kind == 0:
        pieces = ["[", "]", "{", "}", ",", ":", '"', '"a"', "\\u00e9", "\\ud83d", "\\ude00", "\\n", "\\",
                  "1", "-", "0", ".5", "e5", "E-", "NaN", "Infinity", "-Infinity", "true", "null", " ",
                  "\n", "\r", "\t", "\u00e9", "\x00", "\x1f", "\x7f", "\u2028", "\U0001f600", "/", "x"]
        return "".join(dice.choice(pieces) for _ in range(dice.randint(1, 9)))
    if kind == 1:
        return dice.choice(["", "-"]) + "".join(dice.choice("0123456789.eE+-") for _ in range(dice.randint(1, 9)))
    if kind == 2:
        exponent = dice.randint(-340, 320)
        return repr(dice.uniform(-10, 10))[:dice.randint(3, 20)] + f"e{exponent}"
    if kind == 3:
        return show(dice.choice([strange_value(), grid(), {"k": grid(), "": [True, {}], "k ": "v"}]))
    if kind == 4:
        return broken(show(dice.choice([strange_value(), grid(), {"k": [1.5], "l": "a\n\u00e9"}])))
    bits = dice.randint(1, 200)
    return str(dice.choice([-1, 1]) * dice.getrandbits(bits))


def make_json():
    lines = []
    while len(lines) < N_JSON:
        text = json_text()
        if joins_surrogates(text):
            continue
        try:
            value = json.loads(text)
        except json.JSONDecodeError as error:
            lines.append([text, None, str(error)])
            continue
        dump = json.dumps(value, ensure_ascii=False)
        if not joins_surrogates(dump):
            lines.append([text, dump, bool(value)])
    write_lines("json.jsonl", lines)


def make_equal():
    numbers = ["0", "-0", "0.0", "-0.0", "1", "1.0", "true", "false", "1e0", "2", "1e400", "-1e400", "NaN",
               "9007199254740992", "9007199254740993", "9007199254740992.0", "9223372036854775807",
               "9223372036854775808", "9223372036854775808.0", "-9223372036854775808",
               "-9223372036854775808.0", "100000000000000000000", "1e20", "1e22", "1e23",
               "99999999999999991611392", "100000000000000000000000", "null", '"1"', '""', "[]", "{}"]
    lines = []
    for a in numbers:
        for b in numbers:
            lines.append([a, b, json.loads(a) == json.loads(b)])
    while len(lines) < N_EQUAL:
        a, b = dice.choice(numbers), dice.choice(numbers)
        make = dice.choice(["[{0}]", "[[1, {0}], []]", '{{"a": {0}, "b": 1}}', '{{"b": 1, "a": {0}}}',
                            '[{{"x": {0}}}]', '{{"a": 1, "a": {0}}}'])
        other = dice.choice([make, make, '{{"b": 1.0, "a": {0}}}', "[{0}]"])
        a, b = make.format(a), other.format(b)
        lines.append([a, b, json.loads(a) == json.loads(b)])
    write_lines("equal.jsonl", lines)


def make_rows():
    rows = []
    for i in range(400):
        answer = grid()
        for test in range(2 if i % 21 == 20 else 1):
            gen = show(answer if dice.random() < 0.4 else grid())
            if dice.random() < 0.5:
                gen = "So:\n```json\n" + gen + "\n```"
            rows.append({"prompt": f"p{i}.{test}", "answer": answer, "task_id": f"{i:03d}", "gen": [gen]})
    assert len(rows) == 419
    (HERE / "rows.jsonl").write_text(
        "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return rows


def run_official(data):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "in.jsonl").write_bytes(data)
        details = folder / "out" / "details.jsonl"
        (folder / "config.yaml").write_text(
            f"eval_input_path: {folder / 'in.jsonl'}\ndetails_path: {details}\ntask_name: arc_agi_1\n")
        run = subprocess.run([sys.executable, "eval.py", "--config", str(folder / "config.yaml")],
                             cwd=official, capture_output=True, text=True)
        made = hashlib.sha256(details.read_bytes()).hexdigest() if details.exists() else None
        if run.returncode == 0:
            return [l for l in run.stdout.splitlines() if l.startswith("Task: ")][0], None, made
        return None, run.stderr.strip().splitlines()[-1].split(":")[0].split(".")[-1], made


def build(rows, case):
    lines = list(rows)
    for number, text in case["lines"].items():
        lines[int(number) - 1] = text
    lines = lines[:case["cut"]]
    text = "".join(line + case["end"] for line in lines) + case["append"]
    return text.encode("utf-8", "surrogateescape")


def make_files(rows):
    plain = [json.dumps(row, ensure_ascii=False) for row in rows]
    cases = []

    def case(name, lines=None, cut=len(plain), append="", end="\n"):
        cases.append({"name": name, "lines": lines or {}, "cut": cut, "append": append, "end": end})

    def row(number, **changes):
        changed = dict(rows[number - 1])
        for key, value in changes.items():
            if value is ...:
                del changed[key]
            else:
                changed[key] = value
        return {str(number): json.dumps(changed, ensure_ascii=False)}

    def raw(number, text):
        return {str(number): text}

    case("as it is")
    case("Windows line ends", end="\r\n")
    case("old line ends", end="\r")
    case("no last line end", cut=418, append=plain[418])
    case("empty file", cut=0)
    case("a task is missing", cut=418 - 1)
    case("one row twice", append=plain[0] + "\n")
    case("a new task", append=plain[0].replace('"task_id": "000"', '"task_id": "new"') + "\n")
    case("blank line", append="\n")
    case("spaces around a row", raw(3, " \t" + plain[2] + " "))
    case("torn line", append=plain[0][:50])
    case("line that ends inside a string", raw(3, plain[2].replace("p2", "p\u2028")))
    case("byte order mark", raw(1, "\ufeff" + plain[0]))
    case("no UTF-8", append="\udcff\n")
    case("carriage return inside a row", raw(2, plain[1].replace(", ", ",\r", 1)))
    case("null content", row(5, gen=[None]))
    case("object content", row(5, gen=[{"gen": "", "end_reason": "max length exceeded"}]))
    case("number content", row(5, gen=[5]))
    case("list content", row(5, gen=[["[[1]]"]]))
    case("no gen", row(5, gen=...))
    case("empty gen", row(5, gen=[]))
    case("two gens", row(5, gen=["[[1]]", "[[2]]"]))
    case("two gens, the second null", row(5, gen=["[[1]]", None]))
    case("gen is text", row(5, gen="[[1]]"))
    case("gen is empty text", row(5, gen=""))
    case("gen is an object", row(5, gen={"0": "[[1]]"}))
    case("gen is null", row(5, gen=None))
    case("gen is a number", row(5, gen=7))
    case("no answer", row(5, answer=...))
    case("null answer", row(5, answer=None))
    case("no task_id", row(5, task_id=...))
    case("null task_id", row(400, task_id=None))
    case("list task_id", row(5, task_id=["a"]))
    case("object task_id", row(5, task_id={}))
    ids = {}
    for number, name in ((1, 1), (2, 1.0), (3, True)):
        ids.update(row(number, task_id=name))
    case("task_ids 1, 1.0 and true", ids)
    case("task_ids 1, 1.0 and true, and two new",
         ids, append="".join(json.dumps({**rows[0], "task_id": t}) + "\n" for t in ("y", "z")))
    nans = {**row(1, task_id=float("nan")), **row(2, task_id=float("nan"))}
    case("task_id NaN twice, and a new one", nans, append=json.dumps({**rows[0], "task_id": "y"}) + "\n")
    case("row is a list", raw(5, "[1]"))
    case("row is a text", raw(5, '"row"'))
    case("row is null", raw(5, "null"))
    case("acc is there already", row(5, acc="old", more=[1]))
    case("acc in front", raw(5, '{"acc": 7, ' + plain[4][1:]))
    case("duplicate keys", raw(5, plain[4][:-1] + ', "prompt": "second", "prompt": "third"}'))
    case("numbers of every kind", row(5, n=[1.0, 1e16, 1e-7, 10 ** 30, -0.0, float("nan"), float("inf")]))
    case("long and short numbers", raw(5, plain[4][:-1] + ', "n": [1.50, 1e5, 1E400, -0, 12345678901234567890]}'))
    case("half a surrogate pair in a row", raw(5, plain[4][:-1] + ', "s": "\\ud800"}'))
    case("half a surrogate pair, escaped, in gen", row(5, gen=['"\\ud800"']))
    case("control characters", row(5, s="\x00\x1f\x7f\x85\u2028\"\\/"))
    case("4301 digits in a row", raw(5, plain[4][:-1] + ', "n": ' + "9" * 4301 + "}"))
    case("4301 digits in an answer", row(5, gen=["9" * 4301]))
    for depth in (992, 993):
        case(f"answer nested {depth}", row(5, gen=["[" * depth + "]" * depth]))
        case(f"fenced answer nested {depth}", row(5, gen=["```json\n" + "[" * depth + "]" * depth + "```"]))
        case(f"row nested {depth}", raw(5, plain[4][:-1] + ', "d": ' + "[" * (depth - 1) + "]" * (depth - 1) + "}"))
    case("row nested 994", raw(5, plain[4][:-1] + ', "d": ' + "[" * 993 + "]" * 993 + "}"))
    case("answer opened 5000 times", row(5, gen=["[" * 5000]))
    case("equal at depth 990", row(5, gen=["[" * 990 + "1" + "]" * 990], answer=json.loads("[" * 900 + "1" + "]" * 900)))
    for seed in range(24):
        lines = {}
        for number in dice.sample(range(1, 420), 30):
            text = answer_text(rows[number - 1]["answer"])
            while len(text) > 250 or joins_surrogates(text) or "\ud800" in text:
                text = answer_text(rows[number - 1]["answer"])
            lines.update(row(number, gen=[text]))
        case(f"thirty strange answers, {seed}", lines)
    for c in cases:
        c["out"], c["error"], c["details"] = run_official(build(plain, c))
        print("  ", c["name"], "->", c["out"] or c["error"], (c["details"] or "none")[:8])
    write_lines("files.jsonl", cases)


make_answers()
make_json()
make_equal()
make_files(make_rows())
