// The inside of a paragraph (markdown.js says what comes out). One pass: what may open waits on a
// short stack until what closes it comes, or is text at the end.
function parseInline(text) {
  const out = [];        // finished nodes and, among them, the texts of openers
  const openers = [];    // {mark, at}: out[at] is the text of the mark
  const noRun = new Set();  // lengths of backtick runs that do not come again
  const find = makeMathFinder(text);
  let plain = "";
  const flush = () => { if (plain !== "") out.push({ type: "text", text: plain }); plain = ""; };
  const push = (node) => { flush(); out.push(node); };
  for (let i = 0; i < text.length;) {
    const c = text[i];
    const math = c === "$" || c === "\\" ? mathAt(text, i, find) : null;
    if (math) {
      push(math.node);
      i = math.end;
    } else if (c === "\\" && /[\\`*_{}[\]()#+\-.!~|<>$]/.test(text[i + 1] || "")) {
      plain += text[i + 1];
      i += 2;
    } else if (c === "`") {
      const run = runLength(text, i, "`");
      const end = noRun.has(run) ? -1 : closingRun(text, i + run, run);
      if (end < 0) { noRun.add(run); plain += "`".repeat(run); i += run; continue; }
      const inside = text.slice(i + run, end).replace(/\n/g, " ");
      push({ type: "code", text: /^ .*[^ ].* $/.test(inside) ? inside.slice(1, -1) : inside });
      i = end + run;
    } else if (c === "\n") {
      push({ type: "break" });
      ++i;
    } else if (c === "*" || c === "_" || c === "~") {
      const run = runLength(text, i, c);
      flush();
      readMarks(text, i, run, out, openers);
      i += run;
    } else if (c === "[" || (c === "!" && text[i + 1] === "[")) {
      flush();
      if (openers.length < maxOpeners) openers.push({ mark: "[", at: out.length });
      const mark = c === "!" ? "![" : "[";
      out.push({ type: "text", text: mark });
      i += mark.length;
    } else if (c === "]") {
      flush();
      i = closeLink(text, i, out, openers);
    } else if (c === "h" && text.startsWith("https://", i) && !/[A-Za-z0-9]/.test(text[i - 1] || "")) {
      const href = bareLink(text, i);
      push(href === "" ? { type: "text", text: "https://" } : { type: "link", href, children: [{ type: "text", text: href }] });
      i += href.length || 8;
    } else {
      plain += c;
      ++i;
    }
  }
  flush();
  return joinTexts(out);
}

function runLength(text, from, mark) {
  let end = from;
  while (text[end] === mark) ++end;
  return end - from;
}
function closingRun(text, from, length) {
  for (let i = text.indexOf("`", from); i >= 0;) {
    const run = runLength(text, i, "`");
    if (run === length) return i;
    i = text.indexOf("`", i + run);
  }
  return -1;
}

const kinds = { "*": "em", "_": "em", "**": "strong", "__": "strong", "~~": "del" };
// A run of *, _ or ~ closes what it can, and what is left of it opens.
function readMarks(text, at, run, out, openers) {
  const before = text[at - 1] || " ", after = text[at + run] || " ";
  const word = /[\p{L}\p{N}]/u;
  const inWord = text[at] === "_" && word.test(before) && word.test(after);
  const opens = !/\s/.test(after) && !inWord, closes = !/\s/.test(before) && !inWord;
  let left = run;
  while (left > 0) {
    const mark = text[at].repeat(Math.min(left, 2));
    if (closes) {
      const found = findOpener(openers, mark) || (mark.length === 2 && findOpener(openers, text[at]));
      if (found) { wrap(out, openers, found, { type: kinds[found.mark] }); left -= found.mark.length; continue; }
    }
    if (opens && kinds[mark] && openers.length < maxOpeners) openers.push({ mark, at: out.length });
    out.push({ type: "text", text: mark });
    left -= mark.length;
  }
}
function findOpener(openers, mark) {
  for (let i = openers.length - 1; i >= 0; --i) if (openers[i].mark === mark) return openers[i];
  return null;
}
// What came since `opener` becomes the children of `node`; openers in between are text.
function wrap(out, openers, opener, node) {
  openers.length = openers.indexOf(opener);
  const children = joinTexts(out.splice(opener.at).slice(1));
  if (children.length === 0 && node.type === "link") children.push({ type: "text", text: node.href });
  if (children.length === 0) out.push({ type: "text", text: opener.mark + opener.mark });
  else out.push({ ...node, children });
}
// At "]": a link when "(https://…)" follows and "[" came before; returns where to read on.
function closeLink(text, at, out, openers) {
  const opener = findOpener(openers, "[");
  const match = opener && /^\((https:\/\/[^\s()<>"]{1,2000}(?:\([^\s()<>"]{0,200}\)[^\s()<>"]{0,200})?)(?: "[^"\n]{0,200}")?\)/.exec(text.slice(at + 1, at + 2600));
  if (!match || !isSafeLink(match[1])) {
    if (opener) openers.splice(openers.indexOf(opener), 1);
    out.push({ type: "text", text: "]" });
    return at + 1;
  }
  wrap(out, openers, opener, { type: "link", href: match[1] });
  return at + 1 + match[0].length;
}
function bareLink(text, at) {
  const href = /^https:\/\/[^\s<>"`*]{1,2000}/.exec(text.slice(at, at + 2010));
  if (!href) return "";
  const trimmed = href[0].replace(/[.,;:!?'\])}*_~。，、；：！？）】」』]+$/u, "");
  return isSafeLink(trimmed) ? trimmed : "";
}
// https, a host, and nobody's name before it: "https://a@b" goes to b.
function isSafeLink(href) {
  try {
    const url = new URL(href);
    return url.protocol === "https:" && url.username === "" && url.password === "";
  } catch { return false; }
}
function joinTexts(nodes) {
  const out = [];
  for (const node of nodes) {
    const last = out[out.length - 1];
    if (node.type === "text" && last && last.type === "text") last.text += node.text;
    else out.push(node.type === "text" ? { ...node } : node);
  }
  return out;
}
