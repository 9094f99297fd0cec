"""Arithmetic with written-out steps; sorting, reversing, counting, comparing."""
from sample import Sample

SYMBOL = {"add": "+", "sub": "-", "mul": "×"}
ASK_EXPR = (
    "{e}", "{e} =", "{e} = ?", "{e}?", "What is {e}?", "Compute {e}.", "Calculate {e}", "Solve {e}.",
    "How much is {e}?", "Please work out {e}.", "Can you tell me {e}?", "What does {e} give?",
    "What's {e}?", "I need the result of {e}.", "Help me with {e}, please.", "Find {e}.",
    "Evaluate {e}.", "Tell me what {e} is.", "Do the sum: {e}", "what is {e}", "Quick: {e}?",
    "Could you calculate {e} for me?", "Give me the value of {e}.", "{e}, what is it?",
)
ASK_EXPR_ZH = (
    "{e}", "{e}等于多少？", "计算{e}。", "请算一下{e}", "{e}是多少？", "帮我算{e}。", "{e}=？",
    "请问{e}等于几？", "求{e}的结果。", "算算看：{e}", "{e}的答案是什么？",
)
ASK_WORDS = {
    "add": (
        "What is {a} plus {b}?", "Add {a} and {b}.", "What is the sum of {a} and {b}?", "Add {b} to {a}.",
        "{a} plus {b}", "I have {a} apples and get {b} more. How many do I have?",
        "How much is {a} and {b} together?", "Please add {a} to {b}.", "Sum {a} and {b}",
        "There are {a} books here and {b} books there. How many books in all?",
    ),
    "sub": (
        "What is {a} minus {b}?", "Subtract {b} from {a}.", "What is the difference {a} minus {b}?",
        "{a} minus {b}", "Take {b} away from {a}.", "I had {a} coins and gave away {b}. How many are left?",
        "Please subtract {b} from {a}", "How much is {a} less {b}?",
    ),
    "mul": (
        "What is {a} times {b}?", "Multiply {a} by {b}.", "What is the product of {a} and {b}?",
        "{a} times {b}", "Multiply {a} and {b}", "How much is {a} multiplied by {b}?",
        "There are {a} boxes with {b} pens each. How many pens?", "Please multiply {a} by {b}.",
    ),
}
ASK_WORDS_ZH = {
    "add": ("{a}加{b}等于多少？", "{a}加上{b}是多少？", "求{a}与{b}的和。", "{a}加{b}"),
    "sub": ("{a}减{b}等于多少？", "{a}减去{b}是多少？", "从{a}中减去{b}。", "{a}减{b}"),
    "mul": ("{a}乘{b}等于多少？", "{a}乘以{b}是多少？", "求{a}与{b}的积。", "{a}乘{b}"),
}


def digits(n):
    return [int(c) for c in reversed(str(n))]  # ones first


def add_steps(a, b):
    da, db = digits(a), digits(b)
    n = max(len(da), len(db))
    da += [0] * (n - len(da))
    db += [0] * (n - len(db))
    lines, carry = [f"{a} + {b}"], 0
    for i in range(n):
        s = da[i] + db[i] + carry
        if i < n - 1:
            lines.append(f"{da[i]} + {db[i]} + {carry} = {s}, write {s % 10}, carry {s // 10}")
        else:
            lines.append(f"{da[i]} + {db[i]} + {carry} = {s}, write {s}")
        carry = s // 10
    lines.append(f"{a} + {b} = {a + b}")
    return lines


def sub_steps(a, b):
    if a < b:
        return [f"{a} < {b}, so the result is negative."] + sub_steps(b, a) + [f"{a} - {b} = {a - b}"]
    da, db = digits(a), digits(b)
    db += [0] * (len(da) - len(db))
    lines, borrow = [f"{a} - {b}"], 0
    for x, y in zip(da, db):
        top = x if x - y - borrow >= 0 else x + 10
        new = int(top != x)
        d = top - y - borrow
        lines.append(f"{top} - {y} - {borrow} = {d}, write {d}, borrow {new}")
        borrow = new
    lines.append(f"{a} - {b} = {a - b}")
    return lines


def times_digit(a, d):
    lines, carry = [f"{a} × {d}"], 0
    da = digits(a)
    for i, x in enumerate(da):
        p = x * d + carry
        if i < len(da) - 1:
            lines.append(f"{x} × {d} + {carry} = {p}, write {p % 10}, carry {p // 10}")
        else:
            lines.append(f"{x} × {d} + {carry} = {p}, write {p}")
        carry = p // 10
    lines.append(f"{a} × {d} = {a * d}")
    return lines


def mul_steps(a, b):
    if b < 10:
        return times_digit(a, b)
    lines, total, scale = [f"{a} × {b}"], None, 1
    for d in digits(b):
        lines += times_digit(a, d)
        part = a * d * scale
        if scale > 1:
            lines.append(f"{a} × {d * scale} = {part}")
        if total is None:
            total = part
        else:
            lines += add_steps(total, part)
            total += part
        scale *= 10
    lines.append(f"{a} × {b} = {total}")
    return lines


def mul_short(a, b):
    """The working shown in the answer itself when thinking is off."""
    if a < 10 and b < 10 or b < 10 and a < 100:
        return f"{a} × {b} = {a * b}"
    parts, scale = [], 1
    for d in digits(b):
        parts.append(a * d * scale)
        scale *= 10
    if len(parts) == 1:
        xs = [int(c) * 10**i for i, c in enumerate(reversed(str(a)))]
        return " + ".join(f"{x} × {b}" for x in reversed(xs)) + " = " + " + ".join(
            str(x * b) for x in reversed(xs)) + f" = {a * b}"
    ps = [f"{a} × {d * 10**i} = {p}" for i, (d, p) in enumerate(zip(digits(b), parts))]
    text, total = "; ".join(ps), parts[0]
    for p in parts[1:]:
        text += f"; {total} + {p} = {total + p}"
        total += p
    return text + f"; {a} × {b} = {total}"


def draw_number(r, most):
    return r.randrange(10 ** r.randint(1, most))


def arithmetic(r, op=None, zh=None, most=None):
    op = op or r.choice(("add", "add", "sub", "sub", "mul", "mul", "mul"))
    zh = r.random() < 0.2 if zh is None else zh
    think = r.random() < 0.6
    if most is None:
        most = r.choice((3, 3, 3, 3, 3, 4)) if op != "mul" or think else r.choice((1, 2, 2, 3))
    a, b = draw_number(r, most), draw_number(r, most if op != "mul" else min(3, most))
    sym = SYMBOL[op]
    if r.random() < 0.65:
        shown = sym if op != "mul" else r.choice("×*x×")
        e = r.choice((f"{a} {shown} {b}", f"{a}{shown}{b}", f"{a} {shown} {b}"))
        ask = r.choice(ASK_EXPR_ZH if zh else ASK_EXPR).format(e=e)
    else:
        ask = r.choice((ASK_WORDS_ZH if zh else ASK_WORDS)[op]).format(a=a, b=b)
    value = a + b if op == "add" else a - b if op == "sub" else a * b
    answer, steps = f"{a} {sym} {b} = {value}", None
    if think:
        steps = "\n".join({"add": add_steps, "sub": sub_steps, "mul": mul_steps}[op](a, b))
    elif op == "mul":
        answer = mul_short(a, b)
    return Sample(
        op, [{"role": "user", "content": ask}], answer, {"kind": "number", "value": value},
        think=steps, key=f"{op}:{a}:{b}", meta={"digits": max(len(str(a)), len(str(b)))},
    )


# ---------------------------------------------------------------- lists
WORDS = (
    "apple pear plum cherry lemon melon grape peach banana orange cat dog fox wolf bear lion mouse horse "
    "cow pig goat sheep duck hen bird fish frog ant bee red blue green pink black white brown grey gold "
    "one two three four five six seven eight nine ten sun moon star sky rain snow wind cloud tree leaf "
    "root seed rose grass river lake sea hill road house door wall roof room table chair lamp bed book "
    "pen paper ink desk bag box cup plate fork spoon knife bread milk rice egg salt tea soup cake car "
    "bus train ship boat plane bike wheel key lock clock bell ring coin hat coat shoe sock shirt belt "
    "code byte token model layer head norm loop list tree stack queue graph cache file disk core chip "
    "Anna Ben Carl Dora Emil Fay Gus Hana Ivan Jill Kim Leo Mia Nils Olga Paul Rita Sam Tom Uma Vera Will"
).split()
SORT_UP = (
    "Sort {l}.", "Sort {l}", "Sort these numbers: {l}", "Put {l} in order.", "Order {l} from small to large.",
    "Arrange {l} in ascending order.", "Please sort {l} from smallest to largest.", "sort {l}",
    "Can you sort {l}?", "Sort the list {l}.", "Sort {l} ascending.", "Bring {l} into increasing order.",
    "What is the sorted order of {l}?", "Give me {l} sorted.", "I have {l}. Sort them, please.",
)
SORT_DOWN = (
    "Sort {l} in descending order.", "Order {l} from large to small.", "Sort {l} descending.",
    "Arrange {l} from largest to smallest.", "Put {l} in decreasing order.", "Sort {l}, largest first.",
    "Please sort {l} from high to low.",
)
SORT_UP_ZH = ("把{l}从小到大排序。", "请将{l}按升序排列", "给{l}排序。", "排序：{l}", "从小到大排列{l}。")
SORT_DOWN_ZH = ("把{l}从大到小排序。", "请将{l}按降序排列", "从大到小排列{l}。", "降序排序：{l}")
REVERSE = (
    "Reverse {l}.", "Reverse the list {l}.", "Reverse {l}", "Write {l} backwards.", "Turn {l} around.",
    "Give me {l} in reverse order.", "Please reverse {l}.", "What is {l} reversed?", "reverse this: {l}",
    "Read {l} from the end.", "List {l} in the opposite order.", "Say {l} from back to front.",
)
REVERSE_ZH = ("把{l}倒过来。", "反转{l}。", "请把{l}倒序写出", "倒序排列{l}。", "将{l}反过来写。")
COUNT = (
    "How many items are in {l}?", "Count {l}.", "Count the items: {l}", "How many are there: {l}?",
    "How many things do I list here: {l}?", "Count the elements of {l}.", "What is the length of {l}?",
    "How many entries has the list {l}?", "Please count these: {l}",
)
COUNT_ZH = ("{l}一共有几个？", "数一数：{l}", "{l}里有多少个？", "请数出{l}的个数。")
COUNT_OF = (
    "How often does {x} occur in {l}?", "How many times is {x} in {l}?", "Count {x} in {l}.",
    "How many {x} are in {l}?", "Count how often {x} appears in {l}.", "In {l}, how many are {x}?",
)
COUNT_OF_ZH = ("{x}在{l}中出现几次？", "{l}里有几个{x}？", "数一数{l}中有多少个{x}。")
LETTER = (
    "How many times does the letter {x} occur in {w}?", "How many {x} are in the word {w}?",
    "Count the letter {x} in {w}.", "How many letters {x} has {w}?", "How often is {x} in \"{w}\"?",
)
LENGTH = ("How many letters has {w}?", "Count the letters in {w}.", "How long is the word {w}?",
          "How many letters are in \"{w}\"?")
REVERSE_WORD = ("Reverse the word {w}.", "Write {w} backwards.", "Spell {w} backwards.",
                "What is \"{w}\" reversed?", "Reverse the letters of {w}.")
BIGGEST = ("Which is the largest of {l}?", "What is the maximum of {l}?", "Find the biggest number in {l}.",
           "Largest of {l}?", "Which number is biggest: {l}?", "max of {l}")
SMALLEST = ("Which is the smallest of {l}?", "What is the minimum of {l}?", "Find the smallest number in {l}.",
            "Smallest of {l}?", "Which number is smallest: {l}?", "min of {l}")
BIGGEST_ZH = ("{l}中最大的是哪个？", "找出{l}里最大的数。", "{l}的最大值是多少？")
SMALLEST_ZH = ("{l}中最小的是哪个？", "找出{l}里最小的数。", "{l}的最小值是多少？")
COMPARE = (
    "Which is larger, {a} or {b}?", "Compare {a} and {b}.", "Is {a} larger than {b}?", "Is {a} less than {b}?",
    "Which is bigger: {a} or {b}?", "{a} or {b}, which is greater?", "Which number is smaller, {a} or {b}?",
    "Is {a} equal to {b}?", "Compare {a} with {b}", "Which one is more, {a} or {b}?",
)
COMPARE_ZH = ("{a}和{b}哪个大？", "比较{a}和{b}。", "{a}比{b}大吗？", "{a}和{b}谁更大？", "{a}与{b}哪个小？")


def join(items, style):
    items = [str(x) for x in items]
    if style == 0:
        return ", ".join(items)
    if style == 1:
        return " ".join(items)
    if style == 2:
        return "[" + ", ".join(items) + "]"
    if style == 3 and len(items) > 1:
        return ", ".join(items[:-1]) + " and " + items[-1]
    if style == 4:
        return "、".join(items)
    return ",".join(items)


def draw_list(r, low=2, high=8, numbers=None):
    n = r.randint(low, high)
    numbers = r.random() < 0.75 if numbers is None else numbers
    if numbers:
        top = r.choice((10, 20, 100, 100, 100, 1000))
        return [r.randrange(top) for _ in range(n)]
    if r.random() < 0.35:
        return [r.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(n)]
    return [r.choice(WORDS) for _ in range(n)]


def list_sample(r, task, ask, items, answer, think, kind, value, extra=""):
    return Sample(task, [{"role": "user", "content": ask}], answer, {"kind": kind, "value": value},
                  think=think, key=f"{task}:{extra}:{items}")


def style_for(r, zh):
    return r.choice((0, 4, 4, 1, 5)) if zh else r.choice((0, 0, 3, 3, 1, 2, 5))


def sort_task(r, zh=None):
    zh = r.random() < 0.2 if zh is None else zh
    numbers = r.random() < 0.85
    items = draw_list(r, 2, 8, numbers)
    if not numbers:
        items = list(dict.fromkeys(x.lower() for x in items))
    down = r.random() < 0.3
    out = sorted(items, reverse=down)
    forms = (SORT_DOWN_ZH if down else SORT_UP_ZH) if zh else (SORT_DOWN if down else SORT_UP)
    ask = r.choice(forms).format(l=join(items, style_for(r, zh)))
    think = None
    if r.random() < 0.65:
        left, lines = items[:], []
        for x in out:
            lines.append(join(left, 0) + f" -> {x}")
            left.remove(x)
        think = "\n".join(lines)
    return list_sample(r, "sort", ask, items, join(out, 0), think, "list", [str(x) for x in out], str(down))


def reverse_task(r, zh=None):
    zh = r.random() < 0.2 if zh is None else zh
    if not zh and r.random() < 0.25:
        w = r.choice(WORDS).lower()
        letters, back = list(w), w[::-1]
        think = " ".join(letters) + "\n" + " ".join(reversed(letters)) if r.random() < 0.6 else None
        return list_sample(r, "reverse", r.choice(REVERSE_WORD).format(w=w), w, "-".join(back), think, "exact",
                           "-".join(back))
    items = draw_list(r, 2, 8)
    out = items[::-1]
    ask = r.choice(REVERSE_ZH if zh else REVERSE).format(l=join(items, style_for(r, zh)))
    think = None
    if r.random() < 0.5:
        think = "\n".join(f"{len(out) - i}: {x}" for i, x in enumerate(out))
    return list_sample(r, "reverse", ask, items, join(out, 0), think, "list", [str(x) for x in out])


def count_task(r, zh=None):
    zh = r.random() < 0.2 if zh is None else zh
    think = None
    pick = r.random()
    if pick < 0.45:
        items = draw_list(r, 2, 10)
        ask = r.choice(COUNT_ZH if zh else COUNT).format(l=join(items, style_for(r, zh)))
        n = len(items)
        if r.random() < 0.7:
            think = "\n".join(f"{i + 1}: {x}" for i, x in enumerate(items))
        answer = f"一共有{n}个。" if zh else f"There are {n} items." if n != 1 else "There is 1 item."
        return list_sample(r, "count", ask, items, answer, think, "number", n)
    if pick < 0.75:
        pool = [str(x) for x in draw_list(r, 2, 4)]
        items = [r.choice(pool) for _ in range(r.randint(3, 9))]
        x = r.choice(pool)
        ask = r.choice(COUNT_OF_ZH if zh else COUNT_OF).format(x=x, l=join(items, style_for(r, zh)))
        n = items.count(x)
        answer = f"{x}出现{n}次。" if zh else f"{x} occurs {n} times." if n != 1 else f"{x} occurs 1 time."
        if r.random() < 0.7:
            think = running_count(items, x)
        return list_sample(r, "count", ask, items, answer, think, "number", n, x)
    w = r.choice(WORDS).lower()
    if pick < 0.87:
        n = len(w)
        if r.random() < 0.7:
            think = "\n".join(f"{i + 1}: {c}" for i, c in enumerate(w))
        return list_sample(r, "count", r.choice(LENGTH).format(w=w), w, f"{w} has {n} letters.", think, "number", n)
    x = r.choice(w) if r.random() < 0.8 else r.choice("abcdefghijklmnopqrstuvwxyz")
    n = w.count(x)
    if r.random() < 0.7:
        think = running_count(list(w), x)
    times = "1 time" if n == 1 else f"{n} times"
    return list_sample(r, "count", r.choice(LETTER).format(w=w, x=x), w, f"{x} occurs {times} in {w}.", think,
                       "number", n, x)


SPELL = ("Spell {w}.", "How do you spell {w}?", "Spell the word {w}.", "Which letters has {w}?", "spell {w}", "Letters of {w}?",
         "Write {w} letter by letter.", "Please spell \"{w}\".")


def spell_task(r):
    """The spelling of the known words: what reversing and counting their letters builds on."""
    w = r.choice(WORDS).lower()
    ask = r.choice(SPELL).format(w=w)
    think = " ".join(w) if r.random() < 0.4 else None
    s = list_sample(r, "spell", ask, w, "-".join(w), think, "exact", "-".join(w))
    s.key = "spell:" + ask
    return s


def running_count(items, x):
    lines, n = [f"Look for {x}."], 0
    for y in items:
        n += y == x
        lines.append(f"{y}: {'yes' if y == x else 'no'}, {n}")
    return "\n".join(lines)


def compare_task(r, zh=None):
    zh = r.random() < 0.2 if zh is None else zh
    if r.random() < 0.45:
        items = draw_list(r, 2, 7, True)
        big = r.random() < 0.5
        forms = (BIGGEST_ZH if big else SMALLEST_ZH) if zh else (BIGGEST if big else SMALLEST)
        v = max(items) if big else min(items)
        word = ("最大的是" if big else "最小的是") if zh else f"The {'largest' if big else 'smallest'} is "
        think = None
        if r.random() < 0.5:
            best, lines = items[0], [str(items[0])]
            for y in items[1:]:
                best = max(best, y) if big else min(best, y)
                lines.append(f"{y}: {best}")
            think = "\n".join(lines)
        return list_sample(r, "compare", r.choice(forms).format(l=join(items, style_for(r, zh))), items,
                           f"{word}{v}{'。' if zh else '.'}", think, "number", v, str(big))
    top = r.choice((10, 100, 1000, 1000))
    a = r.randrange(top)
    b = a if r.random() < 0.08 else r.randrange(r.choice((10, top, top, top)))
    ask = r.choice(COMPARE_ZH if zh else COMPARE).format(a=a, b=b)
    rel = "=" if a == b else ">" if a > b else "<"
    if zh:
        say = {"=": f"{a}和{b}一样大。", ">": f"{a}比{b}大。", "<": f"{a}比{b}小。"}[rel]
    else:
        say = {"=": f"{a} and {b} are equal.", ">": f"{a} is larger than {b}.", "<": f"{a} is smaller than {b}."}[rel]
    think = None
    if r.random() < 0.5:
        la, lb = len(str(a)), len(str(b))
        think = f"{a} has {la} digits, {b} has {lb}.\n{a} {rel} {b}"
    return list_sample(r, "compare", ask, [a, b], say, think, "exact", say)
