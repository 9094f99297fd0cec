// Mathematics as models write it in LaTeX, as a tree of MathML: parseMath(source, display) returns
// {tag, attributes, children | text}, or null where something is not understood: then the source is
// shown. Pure. The common subset; a formula has at most `mostMath` characters and `mostDepth` levels.
const mostMath = 4000;
const mostDepth = 32;

const mathTable = (text) => new Map([...text.matchAll(/([A-Za-z]+)([^A-Za-z\s]+)/g)].map((pair) => pair.slice(1)));
const mathLetters = mathTable(`alphaα betaβ gammaγ deltaδ epsilonϵ varepsilonε zetaζ etaη thetaθ varthetaϑ iotaι kappaκ lambdaλ muμ nuν xiξ piπ rhoρ varrhoϱ sigmaσ varsigmaς
  tauτ upsilonυ phiϕ varphiφ chiχ psiψ omegaω GammaΓ DeltaΔ ThetaΘ LambdaΛ XiΞ PiΠ SigmaΣ UpsilonΥ PhiΦ PsiΨ OmegaΩ infty∞ emptyset∅ varnothing∅ hbarℏ alephℵ
  top⊤ bot⊥ angle∠ triangle△ square□ degree° partial∂ nabla∇ forall∀ exists∃ nexists∄ neg¬ lnot¬ checkmark✓ ell\u2113 Re\u211C Im\u2111`);
const mathOperators = mathTable(`times× div÷ cdot⋅ pm± mp∓ ast∗ circ∘ bullet∙ oplus⊕ ominus⊖ otimes⊗ odot⊙ cap∩ cup∪ setminus∖ wedge∧ land∧ vee∨ lor∨ leq≤ le≤ geq≥ ge≥ leqslant⩽ geqslant⩾
  neq≠ ne≠ equiv≡ approx≈ sim∼ simeq≃ cong≅ propto∝ ll≪ gg≫ in∈ notin∉ subset⊂ supset⊃ subseteq⊆ supseteq⊇ perp⊥ parallel∥ mid∣
  to→ rightarrow→ leftarrow← leftrightarrow↔ Rightarrow⇒ Leftarrow⇐ Leftrightarrow⇔ implies⟹ iff⟺ mapsto↦ uparrow↑ downarrow↓ longrightarrow⟶ Longrightarrow⟹ rightleftharpoons⇌
  ldots… dots… cdots⋯ vdots⋮ ddots⋱ colon: therefore∴ because∵ lt< gt>`);
const mathBig = mathTable("sum∑ prod∏ int∫ iint∬ iiint∭ oint∮ bigcup⋃ bigcap⋂ bigoplus⨁ bigotimes⨂");
const mathFences = mathTable("langle⟨ rangle⟩ lfloor⌊ rfloor⌋ lceil⌈ rceil⌉ lvert| rvert| vert| lVert‖ rVert‖ Vert‖ lbrace{ rbrace} backslash\\");
const mathAccents = mathTable("hat^ widehat^ bar¯ overline¯ vec→ overrightarrow→ dot˙ ddot¨ tilde~ widetilde~ check\u02C7 overbrace⏞");
const mathNames = new Set("sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh log ln lg exp arg deg dim ker".split(" "));
const limitNames = new Set("lim limsup liminf max min sup inf det gcd Pr argmax argmin".split(" "));
const mathSpaces = { __proto__: null, ",": 0.167, ":": 0.222, ">": 0.222, ";": 0.278, "!": -0.167, " ": 0.25, quad: 1, qquad: 2 };
const mathStyles = { __proto__: null, mathbf: "bold", textbf: "bold", boldsymbol: "bolditalic", bm: "bolditalic", mathbb: "double", mathcal: "script", mathscr: "script", mathfrak: "fraktur", mathrm: "normal", mathsf: "normal", mathtt: "normal", mathit: "normal" };
// First code points of A, a, 0, and letters that stand elsewhere.
const styleBases = {
  bold: [0x1D400, 0x1D41A, 0x1D7CE], bolditalic: [0x1D468, 0x1D482, 0x1D7CE], double: [0x1D538, 0x1D552, 0x1D7D8, "CℂHℍNℕPℙQℚRℝZℤ"],
  script: [0x1D49C, 0x1D4B6, 0, "BℬEℰFℱHℋIℐLℒMℳRℛeℯgℊoℴ"], fraktur: [0x1D504, 0x1D51E, 0, "CℭHℌIℑRℜZℨ"],
};
const mathTables = { matrix: "", pmatrix: "()", bmatrix: "[]", Bmatrix: "{}", vmatrix: "||", Vmatrix: "‖‖", smallmatrix: "", cases: "{.", array: "", aligned: "", align: "", gathered: "", gather: "", split: "", equation: "", multline: "" };

function styledText(text, style) {
  const base = styleBases[style];
  return Array.from(text, (c) => {
    const odd = (base[3] || "").indexOf(c);
    if (odd >= 0 && odd % 2 === 0) return base[3][odd + 1];
    const code = c.charCodeAt(0);
    const to = /[A-Z]/.test(c) ? base[0] + code - 65 : /[a-z]/.test(c) ? base[1] + code - 97 : /[0-9]/.test(c) && base[2] ? base[2] + code - 48
      : style.startsWith("bold") && /[Α-Ω]/.test(c) ? 0x1D6A8 + code - 0x391 : style.startsWith("bold") && /[α-ω]/.test(c) ? 0x1D6C2 + code - 0x3B1 : 0;
    return to ? String.fromCodePoint(to) : c;
  }).join("");
}

class NotMath extends Error {}

function parseMath(source, display) {
  if (source.length > mostMath || source.trim() === "") return null;
  try {
    const children = new MathReader(source).all();
    return { tag: "math", attributes: display ? { display: "block" } : {}, children };
  } catch (error) {
    if (error instanceof NotMath) return null;
    throw error;
  }
}

const mathNode = (tag, children, attributes = {}) => ({ tag, attributes, children });
const mathText = (tag, text, attributes = {}) => ({ tag, attributes, text });
const mathRow = (nodes) => (nodes.length === 1 ? nodes[0] : mathNode("mrow", nodes));
const fence = (text, form) => mathText("mo", text, { form, stretchy: "true", symmetric: "true" });
const mathSpace = (em) => mathNode("mspace", [], { width: em + "em" });

class MathReader {
  constructor(source) {
    this.source = source;
    this.tokens = [...source.matchAll(/\\(?:[A-Za-z]+|[^])|[^]/gu)].map((match) => ({ text: match[0], at: match.index })).filter((token) => !/^\s$/.test(token.text));
    this.at = 0;
    this.depth = 0;
  }
  all() {
    const nodes = this.row(() => false);
    if (this.at < this.tokens.length) throw new NotMath();
    return nodes;
  }
  peek() { return this.at < this.tokens.length ? this.tokens[this.at].text : ""; }
  next() {
    if (this.at >= this.tokens.length) throw new NotMath();
    return this.tokens[this.at++].text;
  }
  eat(text) {
    if (this.peek() !== text) return false;
    ++this.at;
    return true;
  }
  expect(text) { if (!this.eat(text)) throw new NotMath(); }
  // Up to a token that ends it, which stays.
  row(ends) {
    if (++this.depth > mostDepth) throw new NotMath();
    const nodes = [];
    while (this.at < this.tokens.length && !ends(this.peek())) {
      const style = /^\\(display|text)style$/.exec(this.peek());
      if (style) {
        ++this.at;
        nodes.push(mathNode("mstyle", this.row(ends), { displaystyle: String(style[1] === "display") }));
      } else {
        const node = this.scripted();
        if (node) nodes.push(node);
      }
    }
    --this.depth;
    return nodes;
  }
  group() {
    const nodes = this.row((token) => token === "}");
    this.expect("}");
    return nodes;
  }
  // What a command takes: a group, or one token.
  argument() {
    if (this.eat("{")) return mathRow(this.group());
    if (/^(?:[}^_&]|\\\\)?$/.test(this.peek())) throw new NotMath();
    if (++this.depth > mostDepth) throw new NotMath();
    const node = this.atom(true);
    --this.depth;
    if (!node) throw new NotMath();
    return node;
  }
  // "{…}" as it is written.
  raw() {
    this.expect("{");
    const begin = this.at < this.tokens.length ? this.tokens[this.at - 1].at + 1 : 0;
    for (let open = 1; ;) {
      const { text, at } = this.tokens[this.at] || {};
      if (text === undefined) throw new NotMath();
      ++this.at;
      if (text === "{") ++open;
      if (text === "}" && --open === 0) return this.source.slice(begin, at);
    }
  }
  words() {
    const text = this.raw().replace(/\\([%_&#${} ])/g, "$1").replace(/~/g, " ");
    if (/[\\$]/.test(text)) throw new NotMath();
    return text.replace(/^\s+|\s+$/g, "\u00A0");
  }
  option() {
    if (!this.eat("[")) return null;
    const nodes = this.row((token) => token === "]");
    this.expect("]");
    return mathRow(nodes);
  }

  scripted() {
    const bare = /^[\^_']$/.test(this.peek());
    const base = bare ? mathNode("mrow", []) : this.atom(false);
    let limits = base ? base.limits : false;
    let sub = null, sup = null, primes = "";
    for (;;) {
      if (this.eat("\\limits")) limits = true;
      else if (this.eat("\\nolimits")) limits = false;
      else if (this.eat("'")) primes += "′";
      else if (!sub && this.eat("_")) sub = this.argument();
      else if (!sup && this.eat("^")) sup = this.argument();
      else break;
    }
    if (/^[\^_]$/.test(this.peek())) throw new NotMath();  // twice
    if (primes) sup = mathRow([mathText("mo", primes), ...(sup ? [sup] : [])]);
    if (!sub && !sup) return base;
    if (!base) throw new NotMath();
    const tag = limits ? { both: "munderover", sub: "munder", sup: "mover" } : { both: "msubsup", sub: "msub", sup: "msup" };
    if (sub && sup) return mathNode(tag.both, [base, sub, sup]);
    return sub ? mathNode(tag.sub, [base, sub]) : mathNode(tag.sup, [base, sup]);
  }
  // alone: as an argument, where a number is one digit.
  atom(alone) {
    const token = this.next();
    if (token === "{") return mathNode("mrow", this.group());
    if (token[0] === "\\" && token.length > 1) return this.command(token.slice(1));
    if (/[0-9]/.test(token) || (token === "." && /^[0-9]/.test(this.peek()))) return mathText("mn", alone ? token : token + this.digits(token === "."));
    if (/[}&$#%\\]/.test(token)) throw new NotMath();
    if (token === "~") return mathSpace(0.333);
    if (/[A-Za-z]/.test(token)) return mathText("mi", token);
    if (/\p{L}/u.test(token)) return mathText(token.codePointAt(0) > 0x2E00 ? "mtext" : "mi", token);
    return mathText("mo", { "-": "−", "*": "∗" }[token] || token, /[()[\]|/]/.test(token) ? { stretchy: "false" } : {});
  }
  digits(behindPoint) {
    let text = "";
    for (; ; ++this.at) {
      const token = this.peek();
      const after = (this.tokens[this.at + 1] || {}).text || "";
      if (/^[0-9]$/.test(token)) text += token;
      else if (token === "." && !behindPoint && /^[0-9]$/.test(after)) { text += token; behindPoint = true; }
      else return text;
    }
  }
  command(name) {
    if (mathLetters.has(name)) {
      const text = mathLetters.get(name);
      return mathText("mi", text, /[α-ωϑϕϖϱϵ∂]/.test(text) ? {} : { mathvariant: "normal" });
    }
    if (name === "bmod") return mathText("mo", "mod", { lspace: "0.3em", rspace: "0.3em" });
    if (mathOperators.has(name)) return mathText("mo", mathOperators.get(name));
    if (mathBig.has(name)) return Object.assign(mathText("mo", mathBig.get(name)), { limits: !name.includes("int") });
    if (mathFences.has(name) || /^[{}|]$/.test(name)) return mathText("mo", name === "|" ? "‖" : mathFences.get(name) || name, { stretchy: "false" });
    if (mathNames.has(name)) return mathNode("mrow", [mathText("mi", name), mathSpace(0.167)]);
    if (limitNames.has(name)) return Object.assign(mathText("mo", name.replace(/^(lim|arg)(?=.)/, "$1 "), { movablelimits: "true" }), { limits: true });
    if (name in mathSpaces) return mathSpace(mathSpaces[name]);
    if (/^[%$&#_]$/.test(name)) return mathText(name === "%" ? "mo" : "mi", name, name === "%" ? {} : { mathvariant: "normal" });
    if (mathAccents.has(name)) return this.accent(name);
    if (name in mathStyles) return this.styled(mathStyles[name]);
    const read = mathCommands[name];
    if (!read) throw new NotMath();
    return read(this, name);
  }
  accent(name) {
    const wide = /^(?:wide|over)/.test(name);
    const node = mathNode("mover", [this.argument(), mathText("mo", mathAccents.get(name), { stretchy: String(wide) })], name === "overbrace" ? {} : { accent: "true" });
    return Object.assign(node, { limits: name === "overbrace" });
  }
  styled(style) {
    const node = this.argument();
    const change = (one) => {
      if (one.children) one.children.forEach(change);
      else if (one.tag === "mi" || one.tag === "mn") {
        if (style === "normal") one.attributes = { mathvariant: "normal" };
        else { one.text = styledText(one.text, style); one.attributes = one.tag === "mi" ? { mathvariant: "normal" } : {}; }
      }
    };
    change(node);
    if (style !== "normal" || node.tag !== "mrow") return node;
    const joined = [];  // letters of one word
    for (const one of node.children) {
      const last = joined[joined.length - 1];
      if (last && last.tag === "mi" && one.tag === "mi") last.text += one.text;
      else joined.push(one);
    }
    return mathRow(joined);
  }
  delimiter() {
    const token = this.next();
    if (token === ".") return "";
    if (token === "\\|") return "‖";
    if (/^\\[{}]$/.test(token)) return token[1];
    if (token[0] === "\\" && mathFences.has(token.slice(1))) return mathFences.get(token.slice(1));
    if (/^[()[\]|/<>]$/.test(token)) return { "<": "⟨", ">": "⟩" }[token] || token;
    throw new NotMath();
  }
  fenced() {
    const nodes = [fence(this.delimiter(), "prefix")];
    for (;;) {
      nodes.push(...this.row((token) => token === "\\right" || token === "\\middle"));
      const which = this.next();
      nodes.push(fence(this.delimiter(), which === "\\right" ? "postfix" : "infix"));
      if (which === "\\right") return mathNode("mrow", nodes.filter((node) => node.text !== ""));
    }
  }
  environment() {
    const name = this.raw();
    const kind = name.replace(/\*$/, "");
    if (!Object.hasOwn(mathTables, kind)) throw new NotMath();
    const columns = kind === "array" ? this.raw().replace(/[^lcr]/g, "") : "";
    const rows = this.rows((token) => token === "\\end");
    this.expect("\\end");
    if (this.raw() !== name) throw new NotMath();
    const aligned = /^(align|split)/.test(kind), left = kind === "cases";
    const side = (i) => (columns ? columns[i] || "c" : aligned ? "rl"[i % 2] : left ? "l" : "c");
    const grid = mathNode("mtable", rows.map((cells) => mathNode("mtr", cells.map((cell, i) => mathNode("mtd", cell, side(i) === "c" ? {} : { class: side(i) })))),
      /^(?:align|gather|split|equation|multline)/.test(kind) ? { displaystyle: "true", ...(aligned ? { class: "aligned" } : {}) } : {});
    const [open, close] = mathTables[kind];
    if (!open) return grid;
    return mathNode("mrow", [fence(open, "prefix"), grid, ...(close === "." ? [] : [fence(close, "postfix")])]);
  }
  // Cells by "&" and "\\", up to what ends them.
  rows(ends) {
    const rows = [[]];
    for (;;) {
      while (this.eat("\\hline")) { /* lines are not drawn */ }
      rows[rows.length - 1].push(this.row((token) => token === "&" || token === "\\\\" || token === "\\hline" || ends(token)));
      if (this.eat("&")) continue;
      if (this.eat("\\\\")) {
        if (this.peek() === "[") this.option();
        rows.push([]);
        continue;
      }
      if (this.peek() === "\\hline") continue;
      const last = rows[rows.length - 1];
      if (rows.length > 1 && last.length === 1 && last[0].length === 0) rows.pop();
      return rows;
    }
  }
}

const fraction = (style) => (reader) => {
  const node = mathNode("mfrac", [reader.argument(), reader.argument()]);
  return style === undefined ? node : mathNode("mstyle", [node], { displaystyle: String(style) });
};
const over = (tag) => (reader) => { const mark = reader.argument(); return mathNode(tag, [reader.argument(), mark]); };
const sized = (size) => (reader) => mathText("mo", reader.delimiter(), { stretchy: "true", symmetric: "true", minsize: size + "em", maxsize: size + "em" });
const arrow = (text) => (reader) => {
  const below = reader.option(), above = reader.argument();
  const line = mathText("mo", text, { stretchy: "true" });
  return below ? mathNode("munderover", [line, below, above]) : mathNode("mover", [line, above]);
};
const nothing = () => null;
const mathCommands = {
  __proto__: null,
  frac: fraction(), dfrac: fraction(true), cfrac: fraction(true), tfrac: fraction(false),
  binom: (reader) => mathNode("mrow", [fence("(", "prefix"), mathNode("mfrac", [reader.argument(), reader.argument()], { linethickness: "0" }), fence(")", "postfix")]),
  sqrt: (reader) => { const root = reader.option(), inside = reader.argument(); return root ? mathNode("mroot", [inside, root]) : mathNode("msqrt", [inside]); },
  text: (reader) => mathText("mtext", reader.words()),
  operatorname(reader) {
    const limits = reader.eat("*");
    const name = mathText(limits ? "mo" : "mi", reader.words(), limits ? { movablelimits: "true" } : { mathvariant: "normal" });
    return limits ? Object.assign(name, { limits }) : mathNode("mrow", [name, mathSpace(0.167)]);
  },
  underline: (reader) => mathNode("munder", [reader.argument(), mathText("mo", "_", { stretchy: "true" })]),
  underbrace: (reader) => Object.assign(mathNode("munder", [reader.argument(), mathText("mo", "⏟", { stretchy: "true" })]), { limits: true }),
  overset: over("mover"), stackrel: over("mover"), underset: over("munder"),
  left: (reader) => reader.fenced(), begin: (reader) => reader.environment(),
  pmod: (reader) => mathNode("mrow", [mathSpace(0.6), mathText("mo", "(", { stretchy: "false" }), mathText("mi", "mod"), mathSpace(0.3), reader.argument(), mathText("mo", ")", { stretchy: "false" })]),
  boxed: (reader) => mathNode("mrow", [reader.argument()], { class: "boxed" }),
  tag: (reader) => mathNode("mrow", [mathSpace(2), mathText("mtext", `(${reader.words()})`)]),
  label(reader) { reader.raw(); return null; },
  not(reader) {
    const node = reader.argument();
    if (node.tag !== "mo") throw new NotMath();
    return { ...node, text: node.text + "\u0338" };
  },
  xrightarrow: arrow("→"),
  nonumber: nothing, notag: nothing,
};
for (const name of ["textrm", "textit", "texttt", "mbox"]) mathCommands[name] = mathCommands.text;
for (const name of ["mathop", "mathbin", "mathrel", "mathord"]) mathCommands[name] = (reader) => reader.argument();
for (const [name, size] of Object.entries({ big: 1.2, Big: 1.8, bigg: 2.4, Bigg: 3 })) for (const end of ["", "l", "r", "m"]) mathCommands[name + end] = sized(size);
