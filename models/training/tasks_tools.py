"""Tool calls in the Hermes format (call, use of the result, no fitting tool) and JSON of a given shape."""
import json

from sample import Sample, call_text, dumps
from tasks_numbers import WORDS, draw_number

CITIES = (
    "Paris London Berlin Rome Madrid Vienna Prague Oslo Lima Cairo Delhi Tokyo Kyoto Seoul Beijing Shanghai "
    "Boston Chicago Dallas Denver Miami Seattle Toronto Sydney Perth Dublin Lisbon Athens Warsaw Helsinki "
    "Stockholm Geneva Zurich Munich Hamburg Milan Naples Porto Bern Riga Quito Bogota Nairobi Accra"
).split() + ["New York", "San Francisco", "Hong Kong", "Cape Town"]
CITIES_ZH = "北京 上海 广州 深圳 杭州 南京 成都 武汉 西安 重庆 天津 苏州 青岛 大连 厦门 巴黎 伦敦 东京 纽约 柏林".split()
SYLLABLES = "ba be bo ca da de do fa ga gi ha ka ke ko la le li lo ma me mi mo na ne ni no pa ra re ri ro sa se so ta te ti to va vi wa za zo".split()
NAMES = (
    "Anna Ben Carl Dora Emil Fay Gus Hana Ivan Jill Kim Leo Mia Nils Olga Paul Rita Sam Tom Uma Vera Will "
    "Alice Bob Carol David Eva Frank Grace Henry Iris Jack Kate Lucy Mark Nina Oscar Peter Rosa Sara Tim Zoe"
).split()
SKY = "sunny cloudy rainy snowy windy foggy clear stormy".split()
SKY_ZH = {"sunny": "晴", "cloudy": "多云", "rainy": "有雨", "snowy": "有雪", "windy": "有风", "foggy": "有雾",
          "clear": "晴朗", "stormy": "有暴风雨"}


def draw_city(r):
    if r.random() < 0.4:
        return "".join(r.choice(SYLLABLES) for _ in range(r.randint(2, 4))).capitalize()
    return r.choice(CITIES)


def function(name, description, properties, required):
    return {"type": "function", "function": {"name": name, "description": description, "parameters": {
        "type": "object", "properties": properties, "required": required}}}


def calculator(r):
    name = r.choice(("calculator", "calculator", "calculator", "calculate", "calc", "evaluate_expression"))
    arg = r.choice(("expression", "expression", "expression", "expr", "input"))
    text = r.choice(("Evaluate an arithmetic expression.", "Compute the value of an expression", "A calculator.",
                     "Calculate a mathematical expression and return the result.", "Do arithmetic."))
    prop = {"type": "string"}
    if r.random() < 0.6:
        prop["description"] = r.choice(("The expression to evaluate", "For example 2 + 3", "An arithmetic expression",
                                        "The expression, e.g. 12 * 7"))
    return function(name, text, {arg: prop}, [arg]), name, arg


def weather(r):
    name = r.choice(("get_weather", "get_weather", "get_weather", "weather", "get_current_weather", "weather_now"))
    arg = r.choice(("city", "city", "location", "place"))
    text = r.choice(("Get the weather of a city.", "Get the current weather in a given city", "Weather report",
                     "Look up the weather for a place.", "Returns the current weather."))
    prop = {"type": "string"}
    if r.random() < 0.6:
        prop["description"] = r.choice(("The city", "Name of the city", "The city name, e.g. Paris", "The place"))
    props, unit = {arg: prop}, r.random() < 0.35
    if unit:
        props["unit"] = {"type": "string", "enum": ["celsius", "fahrenheit"]}
    return function(name, text, props, [arg]), name, arg, unit


def other_tool(r):
    """A tool of another kind: (tool, request, name, arguments)."""
    pick = r.randrange(6)
    who, city, n, w = r.choice(NAMES), draw_city(r), r.randint(1, 60), r.choice(WORDS)
    if pick == 0:
        return (function("get_time", "Get the current time in a city.", {"city": {"type": "string"}}, ["city"]),
                r.choice((f"What time is it in {city}?", f"Tell me the time in {city}.")), "get_time", {"city": city})
    if pick == 1:
        return (function("set_timer", "Start a timer.", {"minutes": {"type": "integer"}}, ["minutes"]),
                r.choice((f"Set a timer for {n} minutes.", f"Start a {n} minute timer")), "set_timer", {"minutes": n})
    if pick == 2:
        return (function("send_message", "Send a message to a person.",
                         {"to": {"type": "string"}, "text": {"type": "string"}}, ["to", "text"]),
                r.choice((f"Send {who} the message {w}.", f"Tell {who}: {w}")), "send_message", {"to": who, "text": w})
    if pick == 3:
        return (function("search", "Search the web.", {"query": {"type": "string"}}, ["query"]),
                r.choice((f"Search for {w}.", f"Look up {w} on the web")), "search", {"query": w})
    if pick == 4:
        return (function("roll_dice", "Roll dice.", {"sides": {"type": "integer"}, "count": {"type": "integer"}},
                         ["sides", "count"]),
                f"Roll {n % 5 + 1} dice with {n % 12 + 4} sides.", "roll_dice", {"sides": n % 12 + 4, "count": n % 5 + 1})
    return (function("get_stock_price", "Get the price of a stock.", {"symbol": {"type": "string"}}, ["symbol"]),
            f"What is the stock price of {w.upper()}?", "get_stock_price", {"symbol": w.upper()})


CALC_ASK = (
    "What is {e}?", "Calculate {e}.", "{e} = ?", "Use the calculator: {e}", "Compute {e} with the tool.", "{e}",
    "Please work out {e}.", "How much is {e}?", "Can you evaluate {e}?", "I need {e}.", "What's {e}?",
    "Find the value of {e}.", "Tell me {e}.", "Could you calculate {e} for me?",
)
CALC_ASK_ZH = ("{e}等于多少？", "计算{e}。", "请用计算器算{e}", "帮我算一下{e}。", "{e}是多少？")
WEATHER_ASK = (
    "What is the weather in {c}?", "How is the weather in {c}?", "Weather in {c}?", "Is it raining in {c}?",
    "What's the weather like in {c} today?", "Tell me the weather in {c}.", "weather {c}", "Is it warm in {c}?",
    "How cold is it in {c}?", "Please look up the weather for {c}.", "Do I need an umbrella in {c}?",
    "What is the temperature in {c}?", "Can you check the weather in {c}?", "How is it outside in {c} now?",
)
WEATHER_ASK_ZH = ("{c}天气怎么样？", "{c}今天天气如何？", "查一下{c}的天气。", "{c}现在多少度？", "告诉我{c}的天气。",
                  "{c}下雨吗？")
OPERATORS = ("+", "-", "*", "+", "-", "*", "/")


def draw_expression(r):
    n = r.choice((2, 2, 2, 3))
    nums = [draw_number(r, r.choice((2, 3, 4))) for _ in range(n)]
    if r.random() < 0.1:
        nums[0] = f"{nums[0]}.{r.randint(1, 9)}"
    ops = [r.choice(OPERATORS) for _ in range(n - 1)]
    e = str(nums[0])
    for op, x in zip(ops, nums[1:]):
        e += f" {op} {x}"
    if n == 3 and r.random() < 0.3:
        a, b = e.split(" ", 1)
        e = f"{a} {b[:2]}({b[2:]})" if r.random() < 0.5 else "(" + " ".join(e.split(" ")[:3]) + ") " + " ".join(e.split(" ")[3:])
    return e


def tool_task(r):
    pick = r.random()
    if pick < 0.12:
        return no_tool_needed(r)
    zh = r.random() < 0.2
    calc, calc_name, calc_arg = calculator(r)
    wet, wet_name, wet_arg, unit = weather(r)
    kind = r.choice(("calc", "calc", "weather", "weather", "other", "both"))
    calls = []
    if kind in ("calc", "both"):
        e = draw_expression(r)
        shown = e
        if r.random() < 0.3:
            shown = e.replace("*", r.choice(("×", "x")))
        if r.random() < 0.2:
            shown = shown.replace(" ", "")
        if r.random() < 0.15 and kind == "calc" and "(" not in e and e.count(" ") == 2:
            a, op, b = e.split()
            shown = f"{a} {dict(zip('+-*/', ('plus', 'minus', 'times', 'divided by')))[op]} {b}"
        calls.append((calc_name, {calc_arg: e}))
    if kind in ("weather", "both"):
        city = r.choice(CITIES_ZH) if zh else draw_city(r)
        args, suffix = {wet_arg: city}, ""
        if unit and r.random() < 0.6:
            u = r.choice(("celsius", "fahrenheit"))
            args["unit"] = u
            suffix = f"（{'摄氏度' if u == 'celsius' else '华氏度'}）" if zh else r.choice((f" in {u}", f" (in {u})", f", {u} please"))
        calls.append((wet_name, args))
    tools = []
    if kind == "other":
        tool, ask, name, args = other_tool(r)
        zh, calls, tools = False, [(name, args)], [tool]
        if r.random() < 0.6:
            tools.append(r.choice((calc, wet)))
    else:
        if kind != "weather":
            tools.append(calc)
        if kind != "calc":
            tools.append(wet)
        if len(tools) == 1 and r.random() < 0.55:
            tools.append(wet if kind == "calc" else calc)
        elif r.random() < 0.15:
            tools.append(other_tool(r)[0])
        if kind == "calc":
            ask = r.choice(CALC_ASK_ZH if zh else CALC_ASK).format(e=shown)
        elif kind == "weather":
            ask = weather_ask(r, zh, city, suffix)
        else:
            w = weather_ask(r, zh, city, suffix)
            c = r.choice(CALC_ASK_ZH if zh else CALC_ASK[:5]).format(e=shown)
            if r.random() < 0.4:
                w, c, calls = c, w, calls
            else:
                calls = calls[::-1]
            ask = f"{w} {r.choice(('And: ', 'Also, ', '')) if not zh else ''}{c}"
    r.shuffle(tools)
    messages = [{"role": "user", "content": ask}]
    if r.random() < 0.15:
        messages.insert(0, {"role": "system", "content": r.choice(SYSTEMS)})
    thinking = r.random() < 0.5
    think = None
    if thinking:
        names = " and ".join(n for n, _ in calls)
        think = f"I call {names}."
    key = f"tool:{ask}:{len(tools)}"
    value = [{"name": n, "arguments": a} for n, a in calls]
    text = "\n".join(call_text(n, a) for n, a in calls)
    if pick < 0.6:
        return Sample("tool_call", messages, text, {"kind": "tools", "value": value}, think=think, tools=tools, key=key)
    # The tool has answered: use the result.
    results, say = [], []
    for name, args in calls:
        results_for(r, name, args, zh, results, say)
    turn = {"role": "assistant", "content": "", "tool_calls": value}
    if thinking:
        turn["reasoning_content"] = think
    messages = messages + [turn] + [{"role": "tool", "content": c} for c in results]
    answer = ("" if zh else " ").join(say)
    return Sample("tool_use", messages, answer, {"kind": "exact", "value": answer},
                  think="I use the result." if thinking else None, tools=tools, key=key + ":" + "|".join(results))


SYSTEMS = ("You are a helpful assistant.", "You are a helpful assistant with tools.", "Answer briefly.",
           "Be short and exact.", "You can use tools.", "你是一个有用的助手。", "You are nano.")


def weather_ask(r, zh, city, suffix):
    ask = r.choice(WEATHER_ASK_ZH if zh else WEATHER_ASK).format(c=city)
    return ask[:-1] + suffix + ask[-1] if ask[-1] in "?.？。" else ask + suffix


def results_for(r, name, args, zh, results, say):
    arg = next(iter(args.values()))
    if any(k in args for k in ("expression", "expr", "input")):
        try:
            v = eval(arg, {"__builtins__": {}})  # an expression that draw_expression made
            v = round(v, 2)
        except ZeroDivisionError:
            results.append(r.choice(('{"error": "division by zero"}', "Error: division by zero")))
            say.append("计算失败：除数为零。" if zh else "The calculation failed: division by zero.")
            return
        results.append(r.choice((f"{v}", f"{v}", dumps({"result": v}), dumps({"value": v}))))
        say.append(f"结果是{v}。" if zh else f"The result is {v}.")
    elif any(k in args for k in ("location", "place")) or (name != "get_time" and "city" in args):
        t, sky = r.randint(-20, 40), r.choice(SKY)
        if args.get("unit") == "fahrenheit":
            t = r.randint(0, 110)
        degrees = "°F" if args.get("unit") == "fahrenheit" else "°C"
        if r.random() < 0.08:
            results.append(r.choice(('{"error": "unknown city"}', "Error: unknown city")))
            say.append(f"没有找到{arg}的天气。" if zh else f"I found no weather for {arg}.")
            return
        keys = r.choice((("temperature", "condition"), ("temp", "sky"), ("temperature", "weather"), None))
        if keys is None:
            results.append(r.choice((f"{sky}, {t}{degrees}", f"{t}{degrees}, {sky}")))
        else:
            d = {keys[0]: t, keys[1]: sky}
            if r.random() < 0.3:
                d = {"city": arg, **d}
            results.append(dumps(d))
        say.append(f"{arg}现在{SKY_ZH[sky]}，{t}{degrees}。" if zh else f"It is {sky} in {arg}, {t}{degrees}.")
    else:
        if name == "get_time":
            v = f"{r.randrange(24):02d}:{r.randrange(60):02d}"
            results.append(r.choice((v, dumps({"time": v}))))
            say.append(f"It is {v} in {arg}.")
        elif name == "get_stock_price":
            v = f"{r.randrange(5, 900)}.{r.randrange(100):02d}"
            results.append(r.choice((v, '{"price": ' + v + "}")))
            say.append(f"The price of {arg} is {v}.")
        elif name == "roll_dice":
            v = [r.randint(1, args["sides"]) for _ in range(args["count"])]
            results.append(dumps(v))
            say.append("The dice show " + ", ".join(map(str, v)) + ".")
        elif name == "search":
            w = [r.choice(WORDS) for _ in range(3)]
            results.append(" ".join(w))
            say.append("I found: " + " ".join(w))
        else:
            results.append(r.choice(("ok", '{"status": "ok"}', "done")))
            say.append("Done.")


def no_tool_needed(r):
    """Tools are there, but none is needed, or the right one is missing."""
    import tasks_numbers
    import tasks_text

    calc, wet = calculator(r)[0], weather(r)[0]
    pick = r.random()
    if pick < 0.35:
        s, tools = tasks_text.greeting(r), [calc, wet]
    elif pick < 0.65:
        s, tools = tasks_text.refusal(r, off_topic=True), [calc, wet]
    elif pick < 0.8:
        zh = r.random() < 0.2
        city = r.choice(CITIES_ZH) if zh else draw_city(r)
        ask = r.choice(WEATHER_ASK_ZH if zh else WEATHER_ASK).format(c=city)
        s = tasks_text.one("refuse", ask, tasks_text.REFUSE_ZH if zh else tasks_text.REFUSE,
                           ("没有合适的工具。" if zh else "No tool fits.") if r.random() < 0.5 else None)
        tools = [calc]
    else:
        s, tools = tasks_numbers.sort_task(r) if pick < 0.9 else tasks_text.translate(r), [calc, wet]
    s.tools = tools if len(tools) == 1 or r.random() < 0.5 else [r.choice(tools)]
    s.task, s.key = "tool_none", "none:" + s.key
    return s


# ---------------------------------------------------------------- JSON
FIELDS = {
    "name": ("string", lambda r: r.choice(NAMES)), "age": ("integer", lambda r: r.randint(1, 99)),
    "city": ("string", draw_city), "color": ("string", lambda r: r.choice("red blue green pink black white".split())),
    "count": ("integer", lambda r: r.randrange(1000)), "price": ("number", lambda r: r.randrange(1, 999) / 10),
    "active": ("boolean", lambda r: r.random() < 0.5), "id": ("integer", lambda r: r.randrange(10000)),
    "animal": ("string", lambda r: r.choice("cat dog fox wolf bear lion mouse horse".split())),
    "item": ("string", lambda r: r.choice(WORDS)), "year": ("integer", lambda r: r.randint(1900, 2030)),
    "tags": ("array", lambda r: [r.choice(WORDS) for _ in range(r.randint(1, 4))]),
    "scores": ("array", lambda r: [r.randrange(100) for _ in range(r.randint(1, 5))]),
    "title": ("string", lambda r: " ".join(r.choice(WORDS) for _ in range(2))),
    "user": ("string", lambda r: r.choice(NAMES).lower()), "size": ("integer", lambda r: r.randrange(100)),
    "done": ("boolean", lambda r: r.random() < 0.5), "first": ("string", lambda r: r.choice(NAMES)),
    "code": ("string", lambda r: "".join(r.choice("abcdefghxyz0123456789") for _ in range(4))),
}
JSON_ASK = (
    "Return a JSON object with {k}. Data: {v}", "Give me JSON with the keys {k} for: {v}", "As JSON ({k}): {v}",
    "Write {v} as a JSON object with keys {k}.", "Make a JSON object. Keys: {k}. Values: {v}",
    "Fill this JSON shape: {s}\nData: {v}", "Answer only with JSON of the form {s}. The data: {v}",
    "Convert to JSON with fields {k}: {v}", "Use the shape {s} for {v}", "JSON please, {k}: {v}",
    "Extract {k} as JSON from this text: {t}", "Return JSON of the shape {s} from: {t}", "From \"{t}\" make JSON {s}",
)
JSON_ASK_ZH = ("请用JSON返回，字段为{k}：{v}", "把{v}写成JSON对象，键为{k}。", "按{s}的格式输出JSON：{v}", "输出JSON，键：{k}，值：{v}")


def text_of(v):
    if isinstance(v, bool):
        return "true" if v else "false"
    if isinstance(v, list):
        return "[" + ", ".join(map(str, v)) + "]"
    return str(v)


def json_task(r):
    zh = r.random() < 0.15
    think = "I fill the given shape." if r.random() < 0.4 else None
    pick = r.random()
    if pick < 0.62:
        keys = r.sample(sorted(FIELDS), r.randint(1, 5))
        value = {k: FIELDS[k][1](r) for k in keys}
        typed = r.random() < 0.4
        k = ", ".join(f"{x} ({FIELDS[x][0]})" if typed else x for x in keys)
        shape = "{" + ", ".join(f'"{x}": {FIELDS[x][0]}' for x in keys) + "}"
        v = ", ".join(text_of(value[x]) for x in keys)
        t = r.choice(("; ", ", ")).join(
            f"{x} {r.choice(('is', '=', ':'))} {text_of(value[x])}" for x in r.sample(keys, len(keys)))
        ask = r.choice(JSON_ASK_ZH if zh else JSON_ASK).format(k=k, s=shape, v=v, t=t)
    elif pick < 0.78:
        value = ([r.randrange(1000) for _ in range(r.randint(1, 7))] if r.random() < 0.6
                 else [r.choice(WORDS) for _ in range(r.randint(1, 6))])
        ask = r.choice(("Write {v} as a JSON array.", "Give {v} as JSON array", "JSON list of {v}",
                        "Make a JSON array of these: {v}", "Return a JSON array with {v}.", "把{v}写成JSON数组。")
                       ).format(v=", ".join(map(str, value)))
    elif pick < 0.9:
        keys = r.sample(sorted(FIELDS), r.randint(1, 3))
        value = [{k: FIELDS[k][1](r) for k in keys} for _ in range(r.randint(2, 3))]
        rows = "; ".join(", ".join(text_of(o[k]) for k in keys) for o in value)
        ask = r.choice(("Return a JSON array of objects with {k}. Rows: {v}", "List of JSON objects ({k}): {v}",
                        "Make a JSON array, each object has {k}: {v}", "Turn the rows into JSON objects with {k}: {v}")
                       ).format(k=", ".join(keys), v=rows)
    else:
        outer = r.choice(("user", "person", "item", "data", "result", "order"))
        keys = r.sample(sorted(FIELDS), r.randint(1, 3))
        value = {outer: {k: FIELDS[k][1](r) for k in keys}}
        v = ", ".join(text_of(value[outer][k]) for k in keys)
        ask = r.choice(("Return a JSON object {o} that holds {k}. Data: {v}", "JSON with {k} inside {o}: {v}",
                        "Nested JSON: {o} contains {k}. Values: {v}")).format(o=outer, k=", ".join(keys), v=v)
    messages = [{"role": "user", "content": ask}]
    if r.random() < 0.1:
        messages.insert(0, {"role": "system", "content": r.choice(("Answer in JSON.", "You output JSON only.", "Reply with JSON."))})
    return Sample("json", messages, json.dumps(value, ensure_ascii=False), {"kind": "json", "value": value},
                  think=think, key="json:" + ask)
