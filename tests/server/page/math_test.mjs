// LaTeX of answers: what is understood becomes this MathML, all else stays the source that it is; what is
// no formula stays text; no formula costs more than its length.
import assert from "node:assert/strict";
import test from "node:test";
import { of, plain } from "./load.mjs";

// A tree as text: "msup(mi:x mn:2)".
function shown(node) {
  const attributes = Object.entries(node.attributes).map(([name, value]) => `[${name}=${value}]`).join("");
  return node.tag + attributes + (node.children ? `(${node.children.map(shown).join(" ")})` : `:${node.text}`);
}
function math(source) {
  const tree = of("parseMath")(source, false);
  return tree && tree.children.map(shown).join(" ");
}
const same = (source, wanted) => assert.equal(math(source), wanted, source);

test("fractions, roots, scripts", () => {
  same(String.raw`x^2+y_1`, "msup(mi:x mn:2) mo:+ msub(mi:y mn:1)");
  same(String.raw`x^12`, "msup(mi:x mn:1) mn:2");
  same(String.raw`x_i^{n+1}`, "msubsup(mi:x mi:i mrow(mi:n mo:+ mn:1))");
  same(String.raw`\frac12 + \frac{a}{b-1}`, "mfrac(mn:1 mn:2) mo:+ mfrac(mi:a mrow(mi:b mo:− mn:1))");
  same(String.raw`\sqrt{3.14} \sqrt[3]{x}`, "msqrt(mn:3.14) mroot(mi:x mn:3)");
  same("f'(x)", "msup(mi:f mo:′) mo[stretchy=false]:( mi:x mo[stretchy=false]:)");
  same(String.raw`\binom{n}{k}`, "mrow(mo[form=prefix][stretchy=true][symmetric=true]:( mfrac[linethickness=0](mi:n mi:k) mo[form=postfix][stretchy=true][symmetric=true]:))");
});
test("letters, operators, words", () => {
  same(String.raw`\alpha\Omega\infty`, "mi:α mi[mathvariant=normal]:Ω mi[mathvariant=normal]:∞");
  same(String.raw`a \leq b \neq c \to d`, "mi:a mo:≤ mi:b mo:≠ mi:c mo:→ mi:d");
  same(String.raw`\mathbb{R} \mathbf{x} \mathcal{L} \mathfrak{g} \bm{\beta}`, "mi[mathvariant=normal]:ℝ mi[mathvariant=normal]:𝐱 mi[mathvariant=normal]:ℒ mi[mathvariant=normal]:𝔤 mi[mathvariant=normal]:𝛃");
  same(String.raw`\mathrm{softmax}`, "mi[mathvariant=normal]:softmax");
  same(String.raw`\text{if } x`, "mtext:if\u00A0 mi:x");
  same(String.raw`\text{50\% of \{a\}}`, "mtext:50% of {a}");
  same(String.raw`\sin x`, "mrow(mi:sin mspace[width=0.167em]()) mi:x");
  same(String.raw`a \not\in B`, "mi:a mo:∈\u0338 mi:B");
  same("长度 = 5", "mtext:长 mtext:度 mo:= mn:5");
});
test("limits, fences, accents", () => {
  same(String.raw`\sum_{i=1}^n`, "munderover(mo:∑ mrow(mi:i mo:= mn:1) mi:n)");
  same(String.raw`\int_0^1`, "msubsup(mo:∫ mn:0 mn:1)");
  same(String.raw`\int\limits_0^1`, "munderover(mo:∫ mn:0 mn:1)");
  same(String.raw`\lim_{x\to0}`, "munder(mo[movablelimits=true]:lim mrow(mi:x mo:→ mn:0))");
  same(String.raw`\operatorname*{argmax}_\theta`, "munder(mo[movablelimits=true]:argmax mi:θ)");
  same(String.raw`\left.x\right|`, "mrow(mi:x mo[form=postfix][stretchy=true][symmetric=true]:|)");
  same(String.raw`\hat{y} \overline{ab}`, "mover[accent=true](mi:y mo[stretchy=false]:^) mover[accent=true](mrow(mi:a mi:b) mo[stretchy=true]:¯)");
  same(String.raw`\underbrace{a}_{n}`, "munder(munder(mi:a mo[stretchy=true]:⏟) mi:n)");
  same(String.raw`\boxed{42}`, "mrow[class=boxed](mn:42)");
});
test("matrices, cases, alignment", () => {
  const cells = "mtable(mtr(mtd(mi:a) mtd(mi:b)) mtr(mtd(mi:c) mtd(mi:d)))";
  same(String.raw`\begin{matrix} a & b \\ c & d \end{matrix}`, cells);
  same(String.raw`\begin{bmatrix} a & b \\ c & d \\ \end{bmatrix}`, `mrow(mo[form=prefix][stretchy=true][symmetric=true]:[ ${cells} mo[form=postfix][stretchy=true][symmetric=true]:])`);
  same(String.raw`\begin{array}{l|r} a & b \\ \hline c & d \end{array}`, "mtable(mtr(mtd[class=l](mi:a) mtd[class=r](mi:b)) mtr(mtd[class=l](mi:c) mtd[class=r](mi:d)))");
  same(String.raw`\begin{cases} 1 & x \\[2pt] 0 & y \end{cases}`, "mrow(mo[form=prefix][stretchy=true][symmetric=true]:{ mtable(mtr(mtd[class=l](mn:1) mtd[class=l](mi:x)) mtr(mtd[class=l](mn:0) mtd[class=l](mi:y))))");
  same(String.raw`\begin{aligned} a &= b \\ &= c \end{aligned}`, "mtable[displaystyle=true][class=aligned](mtr(mtd[class=r](mi:a) mtd[class=l](mo:= mi:b)) mtr(mtd[class=r]() mtd[class=l](mo:= mi:c)))");
});
test("what is not understood is no formula", () => {
  for (const source of ["", " ", "{", "}", "x^", "x_", "x^a^b", "x_a_b", "^", "a & b", String.raw`a \\ b`, String.raw`\frac{a}`, String.raw`\left(x`, String.raw`\right)`, String.raw`\begin{matrix} a`,
    String.raw`\begin{matrix} a \end{pmatrix}`, String.raw`\begin{tikzpicture}\end{tikzpicture}`, String.raw`\nosuch{x}`, String.raw`\constructor`, String.raw`\__proto__`, String.raw`\toString`, String.raw`\begin{constructor}\end{constructor}`,
    String.raw`\text{a \textbf{b}}`, String.raw`\href{javascript:1}{x}`, String.raw`\sqrt[3`, "#", "$"]) assert.equal(math(source), null, source);
});
test("hostile formulas are bounded", () => {
  assert.equal(math("x".repeat(4001)), null);
  assert.notEqual(math("x".repeat(4000)), null);
  assert.equal(math("{".repeat(500) + "x" + "}".repeat(500)), null);
  assert.equal(math(String.raw`\sqrt`.repeat(500) + "x"), null);
  assert.equal(math(String.raw`\left(`.repeat(100) + "x" + String.raw`\right)`.repeat(100)), null);
  for (const piece of ["\\frac", "\\left(", "{", "x^", "\\begin{matrix}", "\\\\", "&", "\\not", "\\text{", "\\hat", "'", "\\mathbf{x}", "\\displaystyle", "\\begin{array}{"]) {
    const text = piece.repeat(Math.floor(4000 / piece.length));
    const before = process.cpuUsage();
    of("parseMath")(text, true);
    const { user, system } = process.cpuUsage(before);
    assert.ok(user + system < 1e6, `${piece}: ${(user + system) / 1000} ms`);
  }
  // Random pieces of what is understood: a tree or nothing, never another error.
  const pieces = ["x", "1", "^", "_", "{", "}", "&", "\\\\", "'", " ", ...["frac", "sqrt", "left(", "right)", "begin{matrix}", "end{matrix}", "sum", "limits", "text{a}", "hat", "mathbf", "not", "big(", "xrightarrow[", "alpha", "displaystyle", "operatorname*"].map((one) => "\\" + one), "[", "]", "~", ".", "|"];
  let seed = 1, read = 0;
  const random = (n) => { seed = (seed * 48271) % 2147483647; return seed % n; };
  for (let i = 0; i < 40000; ++i) {
    const tree = of("parseMath")(Array.from({ length: 1 + random(12) }, () => pieces[random(pieces.length)]).join(""), true);
    if (tree) ++read;
  }
  assert.ok(read > 1000, `${read}`);
});
test("where mathematics stands in a text", () => {
  const found = (text) => {
    const out = [];
    const look = (nodes) => { for (const node of nodes) { if (node.type === "math") out.push((node.display ? "D:" : "") + node.text.trim()); look(node.children || (node.items || []).flat()); } };
    look(plain(of("parseMarkdown")(text)));
    return out;
  };
  assert.deepEqual(found("so $x$, $$y$$, \\(z\\) and \\[w\\]."), ["x", "D:y", "z", "D:w"]);
  assert.deepEqual(found("the $n$th of $k$s"), ["n", "k"]);
  for (const text of ["$5 and $10", "US$6, US$7", "$HOME/$USER", "$ x $", "$a $b", "`$x$`", "\\$x$", "$x\\$", "$5,$6", "a$b$c", "```\n$x$\n```", "$$$$", "$x\n\ny$"]) assert.deepEqual(found(text), [], text);
  assert.deepEqual(found("是$x$的"), ["x"]);
  assert.deepEqual(found("a\n$$\n- b\n+ c\n$$\nd"), ["D:- b\n+ c"]);
  assert.deepEqual(found("- item\n  $$x$$\n- \\(y\\)"), ["D:x", "y"]);
  assert.deepEqual(found("\\begin{align}\na &= b\n\\end{align}"), ["D:\\begin{align}\na &= b\n\\end{align}"]);
  assert.deepEqual(found("**bold $a*b$ text**"), ["a*b"]);
});
