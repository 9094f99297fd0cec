// Where mathematics stands in a text: $…$, $$…$$, \(…\), \[…\], and environments of their own. A dollar
// opens before no blank and closes behind none, so that prices stay prices.
//
//   inline: {type: math, display, text, source}    block: the same
const mathClosers = { "$": "$", "$$": "$$", "\\(": "\\)", "\\[": "\\]" };

// Finds the next mark that closes; each is looked for once, whatever opens before it.
function makeMathFinder(text) {
  const known = new Map();
  const isEscaped = (at) => {
    let slashes = 0;
    while (slashes < 32 && text[at - 1 - slashes] === "\\") ++slashes;
    return slashes % 2 === 1;
  };
  return (closer, from) => {
    let at = known.get(closer) ?? 0;
    if (at < 0 || at >= from) return at;
    at = text.indexOf(closer, from);
    while (at >= 0 && isEscaped(at)) at = text.indexOf(closer, at + 1);
    known.set(closer, at);
    return at;
  };
}
// A dollar ends a formula: there is none within.
function closesDollar(text, at) {
  return text[at + 1] !== "$" && !/\s/.test(text[at - 1]) && !/^(?!(?:th|st|nd|rd|s)\b)[A-Za-z0-9]/.test(text.slice(at + 1, at + 4));
}
// The formula that begins at `i`, as {node, end}; or null.
function mathAt(text, i, find) {
  const mark = text[i] === "$" ? (text[i + 1] === "$" ? "$$" : "$") : text.slice(i, i + 2);
  if (!(mark in mathClosers)) return null;
  const begin = i + mark.length;
  if (mark === "$" && (/\s/.test(text[begin] || " ") || /[A-Za-z0-9]/.test(text[i - 1] || ""))) return null;
  const end = find(mathClosers[mark], begin + 1);
  if (end < 0 || end - begin > mostMath || (mark === "$" && !closesDollar(text, end))) return null;
  const inside = text.slice(begin, end);
  if (inside.trim() === "") return null;
  return { node: { type: "math", display: mark === "$$" || mark === "\\[", text: inside, source: text.slice(i, end + mark.length) }, end: end + mark.length };
}

const mathOpening = /^ {0,3}(\$\$|\\\[|\\begin\{(?:equation|align|gather|multline)\*?\})/;
// A formula on lines of its own, without a blank one.
function readMath(lines, at) {
  const opening = mathOpening.exec(lines[at]);
  if (!opening) return null;
  const mark = opening[1];
  const own = mark.startsWith("\\begin");
  const closer = own ? mark.replace("begin", "end") : mathClosers[mark];
  let size = 0;
  for (let next = at; next < lines.length && size <= mostMath; ++next) {
    const line = lines[next].trim();
    if (line === "") return null;
    size += line.length + 1;
    const end = line.indexOf(closer, next === at ? mark.length : 0);
    if (end < 0) continue;
    if (end + closer.length !== line.length) return null;
    const source = lines.slice(at, next + 1).join("\n").trim();
    const text = own ? source : source.slice(mark.length, -closer.length);
    return text.trim() === "" ? null : { block: { type: "math", display: true, text, source }, next: next + 1 };
  }
  return null;
}
