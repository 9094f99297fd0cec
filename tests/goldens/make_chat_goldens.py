#!/usr/bin/env python3
"""Makes the goldens of the chat room with transformers' own template environment as the oracle.

    python3 tests/goldens/make_chat_goldens.py            # needs transformers and jinja2

Writes beside itself:
  chat_snippets.json       small templates, each with its exact text, or null for an error
  chat_operators.json      every operator on every pair of types
  chat_conversations.json  generated conversations, and for every template of tests/data/templates
                           the FNV-1a-64 hash and length of each render ("error" for a refusal);
                           the official template, when third_party/ has it, likewise by hash only
"""
import json
import pathlib
import random

from transformers.utils.chat_template_utils import _compile_jinja_template

HERE = pathlib.Path(__file__).resolve().parent
TEMPLATES = HERE.parent / "data" / "templates"
OFFICIAL = HERE.parent.parent / "third_party/tokenizer-qwen3/models/tokenizer_config.json"


def fnv1a64(text):
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


def render(template, context):
    """The text, or None for any error."""
    try:
        text = _compile_jinja_template(template).render(**json.loads(json.dumps(context)))
        text.encode()  # lone surrogates are not text
        return text
    except Exception:
        return None


CONTEXT = {
    "s": "Hello World", "u": "h\u00e9llo \u2603 \U0001d11e na\u00efve", "e": "", "ws": "  a b\tc \n",
    "lines": "one\n\n  two\r\nthree\n", "q": "it's \"quoted\" \\ \u0001\u00a0\u200b<&>",
    "n": 5, "z": 0, "neg": -7, "f": 2.5, "big": 1e20, "small": 1e-07, "u64": 18446744073709551615,
    "t": True, "fl": False, "nil": None, "l": [3, 1, 2], "ls": ["b", "A", "c", "a"], "le": [],
    "mixed": [1, "a", None, True, 2.5, [1], {"k": 1}],
    "ld": [{"name": "x", "v": 2, "on": True, "in": {"k": [10, 20]}},
           {"name": "Y", "v": 1, "on": False, "in": {"k": [30]}},
           {"name": "z", "v": 3, "on": True}],
    "d": {"a": 1, "B": 2, "c": [1, {"k": "v"}], "items": "it", "b": None}, "de": {},
    "html": "<a href='x'>&amp;\"</a>", "num": " 42 ", "fnum": "3.75", "hex": "0x1F",
    "messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "Q"},
                 {"role": "assistant", "content": None, "tool_calls": [
                     {"function": {"name": "f", "arguments": {"x": 1, "y": "\u00e9"}}}]}],
}

VALUES = ["s", "u", "e", "ws", "lines", "q", "n", "z", "neg", "f", "big", "small", "u64", "t", "fl",
          "nil", "l", "ls", "le", "mixed", "ld", "d", "de", "missing", "html", "num", "fnum", "hex",
          "(1, 'a')", "(1,)", "()", "range(4)", "d.items()", "d.keys()", "d.values()", "messages",
          "namespace(a=1)"]

FILTERS = """length count tojson trim string safe items dictsort upper lower title capitalize first last
list reverse int float abs round min max sum indent sort unique e escape wordcount d default join
tojson(indent=2) tojson(indent=1,sort_keys=true) tojson(ensure_ascii=true) tojson(separators=(',',':'))
join(',') join('-',attribute='name') default('D') default('D',true) d(boolean=true) trim('HdD ')
replace('l','L') replace('l','L',1) replace('','-') replace('o','') indent(2) indent(2,true) indent(width=3,blank=true)
indent('> ',first=true,blank=true) sort(reverse=true) sort(attribute='v') sort(attribute='name') sort(case_sensitive=true)
sort(attribute='on,v') sort(attribute='in.k.0')
unique|list unique(attribute='on')|list unique(true)|list map('upper')|list map(attribute='name')|list map(attribute='in.k.0',default='?')|list
map('string')|join('+') map('default','x')|list select|list reject|list select('number')|list reject('string')|list
select('odd')|list select('equalto',1)|list select('gt',1)|list selectattr('on')|list rejectattr('on')|list
selectattr('name','equalto','x')|list selectattr('in','defined')|list rejectattr('v','lt',2)|map(attribute='name')|list
reverse|list items|list batch(2)|list batch(2,'-')|list groupby('on') dictsort(true) dictsort(by='value') dictsort(false,'key',true)
round(1) round(1,'floor') round(0,'ceil') round(-1) int(7) int(base=16) int('x',0) float(1.5) string|length
min(attribute='v') max(attribute='name') sum(attribute='v') sum(start=10) format(1) format first|upper
attr('upper') attr('a') list|tojson map('tojson')|join(';') map(attribute='v')|sum map('int')|list map('nope')|list nope""".split()

METHODS = """upper() lower() title() capitalize() swapcase() casefold() strip() lstrip() rstrip() strip('H d') lstrip('He') rstrip('\\n')
split() split(' ') split('l') split('l',1) split(maxsplit=1) split(sep='o') rsplit() rsplit('l',1) rsplit(none,1) split(none,1) split(none,0) rsplit(none,0) split(none,2) split('')
splitlines() splitlines(true) startswith('He') startswith(('x','H')) startswith('e',1) endswith('d') endswith('\\n') endswith('o',0,5)
find('l') find('l',4) find('zz') find('l',-3) find('') find('',20) rfind('l') rfind('l',0,4) rfind('') index('o') index('zz') rindex('l') count('l') count('') count('l',3)
replace('l','1') replace('l','1',1) replace('','.') replace('','.',3) join(ls) join(l) join('xyz') partition(' ') rpartition('l') partition('zz') removeprefix('He') removesuffix('ld')
isdigit() isalpha() isalnum() isspace() isupper() islower() isascii() isnumeric() isdecimal() isprintable()
ljust(14,'.') rjust(14,'*') center(14) center(15,'-') center(16,'=') zfill(14) zfill(3) format(1) format_map(d) encode() nope() nope __class__ __len__() _x
items() keys() values() get('a') get('zz') get('zz',3) get(1) copy() pop('a') update(d) items a zz append(1) index(1) count(1)""".split()

TESTS = """defined undefined none string number integer float boolean true false mapping sequence iterable callable
odd even divisibleby(3) divisibleby(2) eq(5) ne(5) lt(5) gt(5) le(5) ge(5) equalto(none) in([1,5,none]) in(s) in('abc') in(d) sameas(none) sameas(true)
lower upper escaped filter test lessthan(3) greaterthan(3) nope""".split()

ITEMS = """[0] [1] [-1] [99] [-99] ['a'] ['items'] ['zz'] [none] [true] [1.0] [:] [1:] [:2] [::-1] [1:3] [-2:] [:-1] [::2] [::-2] [4:1:-1]
[1:100:3] [:0] [::0] ['x':] [none:2] .0 .1 .a .items .zz .name ['name'] [(1,)] [[1]] [1:2:9223372036854775807] [::-9223372036854775807]""".split()

EXPRESSIONS = r"""
1 + 2 * 3 ** 2 | (1 + 2) * 3 | -2 ** 2 | 2 ** -1 | 2 ** 0.5 | 7 // 2 | -7 // 2 | 7 % 3 | -7 % 3 | 7 % -3 | 7.5 // 2 | -7.5 % 2 | 1 / 2 | 4 / 2 | 1 / 0 | 1 // 0 | 1 % 0 | 1.0 / 0
0.1 + 0.2 | 1e16 | 1e15 | 123456789012345678 | 1e-4 | 1e-5 | 1.5e300 * 1e10 | 1_000 | 0x1f | 0b101 | 0o17 | 1.0 | 100.0 | 1e2 | 3.14159 | 00 | 1.5e3 | 2.50
'a' ~ 1 ~ none ~ true ~ 1.0 ~ [1] | 'a' + 'b' 'c' | 'a' + 1 | 'ab' * 3 | 3 * 'ab' | 'ab' * -1 | [1] * 2 | [1] + [2] | (1,) + (2,) | [1] + (2,) | {'a': 1} + {}
1 < 2 < 3 | 1 < 2 > 3 | 1 == 1.0 == true | 'a' < 'b' | 'a' < 1 | [1,2] < [1,3] | (1,) < (1,2) | none < 1 | 1 in [1] | 1 not in [1] | 'a' in 'abc' | 1 in 'abc' | 'a' in {'a': 1} | 1 in 5 | [1] in [[1]]
not true | not not 1 | not 1 == 2 | 1 and 0 | 0 or 'x' | '' or none or [] | 1 and 2 and 3 | true and 'y' or 'n' | not 0 and 1 | 1 if true | 1 if false | 'a' if 0 else 'b' if 0 else 'c' | (1 if 0) is defined
missing | missing.x | missing['x'] | missing + 1 | missing ~ 'x' | missing is defined | missing | default('d') | missing == missing2 | missing in [1] | 1 in missing | not missing | missing() | missing[1:] | missing.x is defined
[1, 'a', none, true, 1.5, {'k': [1]}] | {'a': 1, 'b': [1, 2], 3: none, true: 'x'} | {1: 'a', 1.0: 'b', true: 'c'} | {} | [] | () | (1,) | (1, 2) | [1, 2,] | {'a': 1,} | [[]] | {[]: 1} | {(1,2): 3}
"it's" | 'say "hi"' | 'tab\tnew\nline\\ \x41 \u00e9 \U0001f600 \101 \q' | ['\'', '"', '\'"', '\n\t\r\\', '\x00\x7f\x85', '\u200b\u00a0\u00e9\ufeff'] | '\u00e9' | "\x41" | 'a' 'b' "c" | '\
x' | '\N{BULLET}' | '\ud83d'
q | [q] | [u] | q | tojson | u | tojson(ensure_ascii=true) | {'a': '<>&\'"'} | tojson | [1.0, 1e20, 1e-7, none, true] | tojson | u64 | tojson | u64 + 1 | (1,2) | tojson | missing | tojson | {1: 2, none: 3, true: 4, 1.5: 6} | tojson | d.items() | tojson | [] | tojson(indent=2) | {} | tojson(indent=2) | {'a': [], 'b': {}, 'c': [1, {'d': 2}]} | tojson(indent=4) | [1,2] | tojson(indent='\t') | [1,2] | tojson(indent=0)
range(3) | range(1, 4) | range(5, 0, -2) | range(0) | range(3) | list | range(1, 10, 3)[1] | range(10)[2:5] | range(10)[::-1] | range(100001) | range(1, 2, 0) | range('a') | range(2.0) | range(5) | length | 3 in range(5) | range(3) == range(0, 3)
dict(a=1, b=2) | dict({'a': 1}, b=2) | dict([('a', 1)]) | dict([1]) | namespace(a=1).a | namespace(a=1).b | namespace({'x': 2}).x | namespace(a=1)['a'] | namespace() | namespace(a=1, b='x') | namespace(_a=1)
'%s and %d' % ('a', 3) | '%5.2f|%-5s|%05d|%+d|%x|%X|%o|%e|%g|%c|%%' % (3.14159, 'ab', 42, 7, 255, 255, 8, 12345.678, 0.0001, 'z') | '%(a)s-%(B)d' % d | '%s' % none | '%r' % 'x' | '%s %s' % 'a' | '%d' % 'a' | '%s' % [1] | '%s' | format('x') | '%(k)s' | format(k=1) | '%.3s|' % 'abcdef' | '%*d' % (5, 42) | '%i' % 3.9 | '%#x' % 255 | '% d' % 5 | '%s' % (1,2) | '%q' % 1 | '%' % 1 | '%d%%' % 50
'{} {}'.format(1, 'b') | '{1} {0}'.format(1, 2) | '{a}-{b}'.format(a=1, b=2) | '{:>5}|{:<5}|{:^5}|'.format('a', 'b', 'c') | '{:05d} {:.2f} {:,} {:x} {:+}'.format(42, 3.14159, 1234567, 255, 5) | '{{}}' .format() | '{0.a}'.format(d) | '{0[a]}'.format(d) | '{!r}'.format('x') | '{'.format() | '{}'.format() | '{:*^7}'.format('x') | '{:.2}'.format('abc') | '{:%}'.format(0.5) | '{:e}'.format(1.5) | '{0.__class__}'.format(1) | '{:d}'.format('a') | '{:10}'.format(5) | '{}'.format(none) | '{:5}'.format(none)
s[0] | s[-1] | s[:5] | s[::-1] | u[1] | u[8] | u[-5:] | u[::-1] | u | length | u[2:9:2] | s[20] | s[1.5] | s['a'] | u.upper() | u | title | 'straße' | upper | 'ǅ' | lower | 'İ' | lower | 'éa' | capitalize
l | sort | l | sort(reverse=true) | ls | sort | ls | sort(case_sensitive=true) | mixed | sort | ld | sort(attribute='v') | map(attribute='name') | join | ls | map('upper') | join(',') | l | sum | l | min | l | max | ls | min | le | max | le | first | l | first | l | last | s | first | s | last | s | list | d | list | d | first | d | join(',') | d | length
ld | selectattr('on') | map(attribute='name') | list | ld | rejectattr('on') | list | length | ld | map(attribute='in.k.1', default='-') | list | ld | groupby('on') | map('first') | list | mixed | select('string') | list | mixed | map('string') | list
d.items | d['items'] | d.items() | list | d | items | list | d.a | d['a'] | d.zz | d.zz.y | d['zz'] | d.c[1].k | d.get('zz', 'x') | d.keys() | list | d.values() | list | d.c.1.k | d.pop('a') | l.append(4) | d.update({'x': 1}) | l.sort()
s is string | s is sequence | d is mapping | d is sequence | l is iterable | n is number | t is number | t is integer | t is boolean | f is float | nil is none | missing is none | missing is iterable | missing is sequence | s is not none | n is odd | n is divisibleby 5 | n is divisibleby(2) | n is eq 5 | n is in [1, 5] | 'a' is in s | n is sameas 5 | range is callable | s is callable | namespace(a=1) is mapping | s is upper | 'ABC' is upper | 'abc' is lower | '' is lower | n is not odd | n is string or t | not n is string | n is defined and n > 3
raise_exception('x') | strftime_now('%%') | loop | self | caller | varargs | cycler | joiner | lipsum | range | [1,2,3] | length > 2 | (l | length) - 1 | l | length - 1 | -l | length | -n | abs | +n | -f | - 'a' | n | string ~ 'x' | 1 ~ 2 * 3 | 'a' ~ 'b' == 'ab' | 2 * 3 ~ 4 + 5
' x '.strip() ~ '|' | 'a,b'.split(',') | 'a,b'.split(',')[0] | ('a' ~ 'b').upper() | 'abc'[1:].upper() | ['a','b']|join('-')|upper | [3,1]|sort|first | {'a': {'b': 1}}.a.b | {'a': 1}['a'] | [1,2][0] | (1,2)[1] | 'x'.join(['a','b']) | ', '.join(d.keys()) | [none, true] | join(',') | [[1,2],[3]] | map('length') | list | [1,2,3] | map('string') | join
1.5 | round | 2.5 | round | 3.5 | round | 2.675 | round(2) | 1234.5 | round(-2) | 15 | round(-1) | 25 | round(-1) | 5 | round | 1.21 | round(1, 'ceil') | 1.29 | round(1, 'floor') | -1.5 | round | 1e20 | int | '12' | int | 'x' | int | 'x' | int(5) | '0x1f' | int(0, 16) | '1f' | int(0, 16) | '3.9' | int | 3.9 | int | -3.9 | int | none | int | true | int | '1_000' | int | ' 7 ' | int | 'inf' | float | 'nan' | float | 'x' | float | '1e3' | float | 'inf' | int | [] | int
"""

TEMPLATES_SMALL = r"""
{% if a %}A{% elif n %}N{% else %}E{% endif %}
{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.revindex }}{{ loop.revindex0 }}{{ x }};{% endfor %}
{% for x in l %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }}{% endfor %}
{% for x in le %}{{ x }}{% else %}none{% endfor %}
{% for x in l %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% else %}E{% endfor %}
{% for x in l %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}
{% for x in l %}{% break %}{% else %}E{% endfor %}
{% for x in l %}{% continue %}{% else %}E{% endfor %}
{% for x in l if x > 1 %}{{ loop.index }}:{{ x }}/{{ loop.length }} {% else %}no{% endfor %}
{% for x in l if x > 10 %}{{ x }}{% else %}no{% endfor %}
{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}
{% for k, v in d|items %}{{ k }}={{ v }};{% endfor %}
{% for k in d %}{{ k }}{% endfor %}
{% for c in u %}{{ c }}.{% endfor %}
{% for a, b in [(1, 2), [3, 4], 'xy'] %}{{ a }}{{ b }} {% endfor %}
{% for a, b in [(1, 2, 3)] %}{{ a }}{% endfor %}
{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}
{% for x in 5 %}{% endfor %}
{% for x in nil %}{% endfor %}
{% for x in missing %}{{ x }}{% else %}E{% endfor %}
{% for x in [1, 2] %}{% for y in [3, 4] %}{{ loop.index }}{{ x }}{{ y }} {% endfor %}{{ loop.index }}{% endfor %}
{% for x in [1,2,3] recursive %}{{ x }}{% if loop.depth < 3 %}({{ loop([x]) }}){% endif %}{% endfor %}
{% for x in [1, 1, 2] %}{{ loop.changed(x) }}{{ loop.cycle('a', 'b') }} {% endfor %}
{% set x = 1 %}{% for i in [1, 2] %}{{ x }}{% set x = 5 %}{{ x }}{% endfor %}{{ x }}
{% set x = 1 %}{% if true %}{% set x = 2 %}{% endif %}{{ x }}
{% set ns = namespace(x=0) %}{% for i in l %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}
{% set ns = namespace() %}{% set ns.y = 'q' %}{{ ns.y }}{{ ns.z }}{{ ns.z is defined }}
{% set d.x = 1 %}
{% set ns = namespace() %}{% set ns._x = 1 %}
{% set a, b = 1, 2 %}{{ a }}{{ b }}
{% set a, b = [1] %}{{ a }}
{% set a = 1, 2 %}{{ a }}
{% set (a, b) = (1, 2) %}{{ b }}{{ a }}
{% set x %}a{{ n }}b{% endset %}{{ x }}{{ x|length }}
{% set x | upper | replace('A', 'z') %}abc{% endset %}{{ x }}
{% macro m(a, b=2, c='x') %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(1) }}|{{ m(1, c=3) }}|{{ m(b=1) }}|{{ m(1, 2, 3) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(z=2) }}
{% macro m(a) %}{{ a is defined }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m() }}{{ m(1, 2, k=3) }}
{% macro m() %}[{{ caller() }}]{% endmacro %}{% call m() %}in {{ n }}{% endcall %}
{% macro m() %}[{{ caller('u', 2) }}]{% endmacro %}{% call(a, b=1) m() %}{{ a }}{{ b }}{% endcall %}
{% macro m(x) %}{% if x > 0 %}{{ x }}{{ m(x - 1) }}{% endif %}{% endmacro %}{{ m(4) }}
{% macro m() %}{{ x }}{% endmacro %}{% set x = 7 %}{{ m() }}
{% macro m() %}{% set x = 9 %}{{ x }}{% endmacro %}{% set x = 7 %}{{ m() }}{{ x }}
{% macro outer() %}{% macro inner(y) %}<{{ y }}>{% endmacro %}{{ inner(1) }}{% endmacro %}{{ outer() }}{{ inner is defined }}
{% for i in [1, 2] %}{% macro m() %}{{ i }}{% endmacro %}{{ m() }}{% endfor %}{{ m is defined }}
{% macro m(a) %}x{{ a }}{% endmacro %}{{ m('q') | upper }}{{ m('q') ~ 'z' }}{{ m('q')|length }}
{% macro m(x=n) %}{{ x }}{% endmacro %}{{ m() }}{{ m(1) }}{{ m.name }}
{% macro m(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}
{{ m is defined }}{% macro m() %}{% endmacro %}{{ m is defined }}
{% with x = 1, y = 2 %}{{ x }}{{ y }}{% endwith %}{{ x is defined }}
{% with %}{% set x = 3 %}{{ x }}{% endwith %}{{ x is defined }}
{% filter upper %}abc{{ s }}{% endfilter %}
{% filter replace('a', 'b') | upper %}aba{% endfilter %}
{% print n, s %}
{% generation %}gen {{ n }}{% endgeneration %}!
{% raw %}{{ x }} {% if %}{% endraw %}
{%- raw -%}  {{ x }}  {%- endraw -%}  z
a {#- comment -#} b {# c #} d
{# multi
line #}
x
{% if true %}
  line
{% endif %}
end
  {% if true %}  
  y
  {% endif %}
z
a
  {%- if true -%}
  b
  {%- endif -%}
c
  {%+ if true %}
  b
  {%+ endif +%}
c
{% for x in l -%}
  {{ x }},
{%- endfor %}
{{ n -}}   
  x  {{- n }}
{{ '{{' }}{{ '}}' }}{{ "{%" }}
{{ {'a': {'b': 1}}['a']['b'] }}{{ {'a':{'b':{}}} }}
{{ n }
{{ n }}}
{% if %}
{% if n %}
{% endif %}
{% for x in %}{% endfor %}
{% for in l %}{% endfor %}
{% unknown %}
{% else %}
{{ 1 + }}
{{ (1 }}
{{ 1) }}
{{ [1 }}
{{ 'abc }}
{{ a b }}
{{ }}
{{ 1 2 }}
{{ x.1a }}
{{ f(a=1, 2) }}
{{ f(**d, *l) }}
{{ @ }}
{{ a.b. }}
{{ n is is }}
{{ n | }}
{% set 1 = 2 %}
{% set x %}
{% set true = 1 %}
{% macro %}{% endmacro %}
{% macro m(a=1, b) %}{% endmacro %}
{% break %}
{% include 'x' %}
{% import 'x' as y %}
{% extends 'x' %}
{% raw %}x
{# x
{{ '\xZZ' }}
{% for x in l %}{% set ns = namespace(v=x) %}{{ ns.v }}{% endfor %}
{% for m in messages %}{{ m.role }}:{{ m.content }}{% if m.tool_calls %}{{ m.tool_calls[0].function.arguments|tojson }}{% endif %};{% endfor %}
{% for m in messages[::-1] %}{{ m['role'] }}{{ messages|length - 1 - loop.index0 }}{% endfor %}
{% set loop_messages = messages[1:] %}{{ loop_messages[0].role }}{{ loop_messages | length }}
{% if messages[0].role == 'system' and messages[0]['content'] is string %}sys{% endif %}
{{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | join(', ') }}
{{ messages | selectattr('role', 'ne', 'user') | list | length }}
{{ messages[-1].tool_calls | map(attribute='function.name') | list }}
{{ messages[-1].content is none }}{{ messages[-1].content }}
{% set x = 'a' if n > 3 else 'b' %}{{ x }}
{% set r = range(3) | map('string') | list %}{{ r }}{{ r | join('-') }}
{% set g = ls | map('upper') %}{{ g | join }}{{ g | join }}
{% set f = 'abc'.upper %}{{ f() }}
{% set h = d.get %}{{ h('a') }}{{ h('zz', 4) }}
{% set t = (1, 2) %}{% set u, v = t %}{{ u + v }}
{%- set x = 1 -%}

  {{- x -}}

done

{% for x in l %}
{{ x }}
{% endfor %}

trailing


{{ 'a\nb' | indent }}{{ 'a\n\nb\n' | indent(2) }}|{{ 'a\n\nb' | indent(2, blank=true) }}
{{ "a" if n == 5 else raise_exception("bad") }}{{ raise_exception("bad") if n == 6 }}
{% if n == 5 and s.startswith('H') and not missing %}yes{% endif %}
{{- '<|im_start|>' + messages[0].role + '\n' + messages[0].content + '<|im_end|>' + '\n' -}}
{% for k, v in d.items() if v is number %}{{ k }}{{ loop.last }}{% endfor %}
{% for k in d | dictsort %}{{ k[0] }}{% endfor %}
{% for x in l | sort(reverse=true) %}{{ x }}{{ ',' if not loop.last }}{% endfor %}
{% for x in 'a,b'.split(',') %}{{ x }}{% endfor %}
{% for x in (1, 2) %}{{ x }}{% endfor %}{% for x in 1, 2 %}{{ x }}{% endfor %}
{% for i in range(3) %}{{ i }}{% if not loop.last %}, {% endif %}{% endfor %}
{% for x in l %}{{ loop }}{% endfor %}
{% for loop in l %}{% endfor %}
{% set y = [] %}{% for x in l %}{% set y = y + [x] %}{% endfor %}{{ y }}
{% set y = [] %}{{ y.append(1) }}{{ y }}
{% set ns = namespace(l=[]) %}{% for x in l %}{% set ns.l = ns.l + [x * 2] %}{% endfor %}{{ ns.l }}
{% set ns = namespace(f=true, c=0) %}{% for x in [1,2,3,4] if ns.f %}{{ x }}{% if x == 2 %}{% set ns.f = false %}{% endif %}{% endfor %}
{{ [1,2,3] | map('string') | first }}{{ ld | map(attribute='v') | max }}
{{ "%s" | format(d.a) }}{{ '%05.1f' | format(2.345) }}
"""


def snippets():
    cases = []
    for value in VALUES:
        cases += [f"{{{{ {value} }}}}", f"{{{{ [{value}] }}}}"]
        cases += [f"{{{{ {value} | {name} }}}}" for name in FILTERS]
        cases += [f"{{{{ {value} is {name} }}}}" for name in TESTS]
        cases += [f"{{{{ {value}{item} }}}}" for item in ITEMS]
    for value in ["s", "u", "ws", "lines", "e", "d", "l", "num", "'++-12'", "n", "missing", "nil"]:
        cases += [f"{{{{ {value}.{name} }}}}" for name in METHODS]
    for line in EXPRESSIONS.strip().split("\n"):
        # " | " separates expressions and filters alike, so try every run of pieces.
        pieces = line.split(" | ")
        for i in range(len(pieces)):
            for j in range(i + 1, min(i + 4, len(pieces)) + 1):
                cases.append("{{ " + " | ".join(pieces[i:j]) + " }}")
    lines = TEMPLATES_SMALL.strip("\n").split("\n")
    cases += lines
    cases += ["\n".join(lines[i:i + n]) + tail for n in (2, 3, 5) for i in range(len(lines) - n) for tail in ("", "\n")]
    cases += [line.replace("{%", "{%-") for line in lines] + [line.replace("%}", "-%}") + "\n x" for line in lines]
    cases += ["  " + line + "  \n\n y" for line in lines] + ["a\r\n" + line + "\r\nb\r" for line in lines]
    seen, out = set(), []
    for case in cases:
        if case in seen or "strftime_now('%Y" in case:
            continue
        seen.add(case)
        text = render(case, CONTEXT)
        # Addresses, hash order and names of Python's own objects mean nothing elsewhere.
        # Not offered: bytes, names of characters, `self`; and constants that Jinja folds into nothing.
        if "encode()" in case or "\\N{" in case or "{{ self" in case or ")['x':]" in case:
            continue
        if text is not None and (" at 0x" in text or "built-in" in text or "<Macro" in text or "<class" in text
                                 or "&lt;" in text and "safe" in case):
            continue
        out.append([case, text])
    return out


def thin_out(cases, keep_errors):
    """All cases with a text; of those that fail only some, chosen by hash."""
    return [c for c in cases if c[1] is not None or fnv1a64(c[0]) % 100 < keep_errors]


OPERANDS = ["none", "true", "false", "0", "1", "-3", "2.5", "1e20", "''", "'a'", "'ab'", "[]", "[1]", "[1, 'a']", "()",
            "(1,)", "{}", "{'a': 1}", "missing", "range(2)", "[[1], []]", "'\u00e9'", "d.keys()", "dict"]
OPERATORS = ["==", "!=", "<", "<=", ">", ">=", "in", "not in", "+", "-", "*", "/", "//", "%", "**", "~", "and", "or"]


def operators():
    rows = []
    for op in OPERATORS:
        for left in OPERANDS:
            row = []
            for right in OPERANDS:
                text = render("{{ " + left + " " + op + " " + right + " }}", CONTEXT)
                # Sets and complex numbers are not offered.
                is_set = "d.keys()" in (left, right) and op in ("-", "<", "<=", ">", ">=")
                is_complex = op == "**" and left == "-3" and right == "2.5"
                skip = is_set or is_complex or (text is not None and " at 0x" in text)
                row.append("skip" if skip else text)
            rows.append([op, left, row])
    return {"operands": OPERANDS, "rows": rows}


WORDS = ["hello", "What is 2+2?", "\u4f60\u597d\uff0c\u4e16\u754c", "caf\u00e9 \U0001f600", "a\nb", "\n\nlead", "trail\n\n", "  spaced  ", "",
         "<think>", "</think>", "<tool_call>", "</tool_response>", "<tool_response>x</tool_response>", "<|im_start|>", "<|im_end|>",
         "\"quoted\" \\ back", "/no_think", "tab\tx", "{{ n }}", "{% if %}", "line\r\nline", "&<>'", "\u200b", "0"]
TOOLS = [
    {"type": "function", "function": {"name": "get_weather", "description": "Weather <now> & later", "parameters": {
        "type": "object", "properties": {"city": {"type": "string", "description": "\u57ce\u5e02"},
                                         "days": {"type": "integer", "enum": [1, 2], "default": 1}}, "required": ["city"]}}},
    {"type": "function", "function": {"name": "search", "parameters": {"type": "object", "properties": {
        "q": {"type": ["string", "null"]}, "limit": {"type": "number", "maximum": 1e3, "minimum": 0.5},
        "filter": {"type": "object", "additionalProperties": False, "items": {"type": "string"}}}}, "strict": True}},
    {"type": "function", "function": {"name": "noargs", "description": "  trim me \n"}},
    {"name": "bare", "description": "no wrapper", "parameters": {}},
]


def conversation(rng):
    def text(n=3):
        return " ".join(rng.choice(WORDS) for _ in range(rng.randint(0, n)))

    def content():
        kind = rng.random()
        if kind < 0.86:
            return text(4)
        if kind < 0.90:
            return None
        if kind < 0.97:
            return [{"type": "text", "text": text()} for _ in range(rng.randint(0, 3))]
        return rng.choice([1, True, 2.5, {"a": 1}])

    def arguments():
        value = {rng.choice("abcxyz") * rng.randint(1, 2): rng.choice(
            [text(1), rng.randint(-5, 5), 1.5, 1e-7, True, False, None, [1, "a"], {"k": [None, {"z": "\u00e9"}]}, []])
            for _ in range(rng.randint(0, 3))}
        return json.dumps(value) if rng.random() < 0.3 else value

    messages = []
    if rng.random() < 0.4:
        messages.append({"role": "system", "content": content() if rng.random() < 0.2 else text()})
    for _ in range(rng.randint(1, 4)):
        messages.append({"role": "user", "content": content()})
        while rng.random() < 0.7:
            message = {"role": "assistant", "content": content()}
            if rng.random() < 0.3:
                message["content"] = f"<think>\n{text()}\n</think>\n\n{text()}"
            if rng.random() < 0.3:
                message["reasoning_content"] = rng.choice([text(), None, "", "\nr\n"])
            if rng.random() < 0.5:
                calls = []
                for _ in range(rng.randint(1, 3)):
                    call = {"name": rng.choice(["get_weather", "search", "na\"me"]), "arguments": arguments()}
                    calls.append(call if rng.random() < 0.2 else
                                 {"id": "c1", "type": "function", "function": call})
                message["tool_calls"] = calls
            messages.append(message)
            if "tool_calls" in message:
                for _ in range(rng.randint(0, 2)):
                    messages.append({"role": "tool", "content": content() if rng.random() < 0.2 else text(),
                                     "tool_call_id": "c1"})
    if rng.random() < 0.1:
        messages.insert(rng.randint(0, len(messages)), {"role": rng.choice(["system", "developer", "weird"]), "content": text()})
    context = {"messages": messages, "add_generation_prompt": rng.random() < 0.6}
    if rng.random() < 0.5:
        context["tools"] = rng.sample(TOOLS, rng.randint(0, 3))
    if rng.random() < 0.4:
        context["enable_thinking"] = rng.choice([True, False, 0, "false", None])
    return context


def hashed(template, contexts):
    out = []
    for context in contexts:
        text = render(template, context)
        out.append("error" if text is None else f"{fnv1a64(text):016x}-{len(text.encode())}")
    return out


def conversations():
    rng = random.Random(20250707)
    contexts = [conversation(rng) for _ in range(240)]
    renders = {path.name: hashed(path.read_text(), contexts) for path in sorted(TEMPLATES.glob("*.jinja"))}
    official = json.loads(OFFICIAL.read_text())["chat_template"] if OFFICIAL.exists() else None
    if official is None:
        raise SystemExit(f"{OFFICIAL} is missing; run script/bootstrap first")
    return {"contexts": contexts, "renders": renders, "official": hashed(official, contexts)}


def write(name, data, indent=None):
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), indent=indent)
    (HERE / name).write_text(text + "\n")
    print(name, len(text.encode()), "bytes")


if __name__ == "__main__":
    cases = thin_out(snippets(), keep_errors=35)
    print(len(cases), "snippets,", sum(c[1] is None for c in cases), "of them errors")
    write("chat_snippets.json", {"context": CONTEXT, "cases": cases})
    write("chat_operators.json", operators())
    data = conversations()
    print(len(data["contexts"]), "conversations x", len(data["renders"]) + 1, "templates")
    write("chat_conversations.json", data)
