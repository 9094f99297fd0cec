// Markdown as a tree, by pure functions: text in, plain objects out, never an element. The subset that
// models write: headings, paragraphs, fenced code, lists, quotes, tables, rules; bold, italic, struck,
// code, https links; mathematics (math_source.js). All else, HTML and images included, stays the text that it is.
//
//   block:  {type: heading|paragraph, level?, children} {type: code, lang, text} {type: rule}
//           {type: list, ordered, start, items: [[block]]} {type: quote, children: [block]}
//           {type: table, align: [..], head: [[inline]], rows: [[[inline]]]}
//   inline: {type: text|code, text} {type: strong|em|del, children} {type: link, href, children} {type: break}
//
// Work is linear in the text: every search for a counterpart is bounded or remembered.
const maxNesting = 8;
const maxOpeners = 16;

function parseMarkdown(text, depth = 0) {
  const lines = text.replace(/\r\n?/g, "\n").split("\n");
  const blocks = [];
  let paragraph = [];
  const endParagraph = () => {
    if (paragraph.length > 0) blocks.push({ type: "paragraph", children: parseInline(paragraph.join("\n")) });
    paragraph = [];
  };
  for (let at = 0; at < lines.length;) {
    const line = lines[at];
    if (line.trim() === "") { endParagraph(); ++at; continue; }
    const found = readFence(lines, at) || readHeading(lines, at) || readRule(lines, at) || readMath(lines, at) ||
      (depth < maxNesting && (readList(lines, at, depth) || readQuote(lines, at, depth))) || readTable(lines, at);
    if (!found || (found.block.type === "list" && paragraph.length > 0 && found.block.ordered && found.block.start !== 1)) {
      paragraph.push(line);
      ++at;
      continue;
    }
    endParagraph();
    blocks.push(found.block);
    at = found.next;
  }
  endParagraph();
  return blocks;
}

// The fence that a line opens: its marks, the indentation before it, the word after it; or null.
function fenceOf(line) {
  const match = /^( {0,3})(`{3,}|~{3,})\s*([^`\s]{0,40})[^`]*$/.exec(line);
  return match && { indent: match[1].length, marks: match[2], lang: match[3] };
}
function closesFence(line, fence) {
  const text = line.trim();
  return text.length >= fence.marks.length && text === fence.marks[0].repeat(text.length);
}
// A fence that nothing closes reaches to the end, as while it is still being written.
function readFence(lines, at) {
  const fence = fenceOf(lines[at]);
  if (!fence) return null;
  let end = at + 1;
  while (end < lines.length && !closesFence(lines[end], fence)) ++end;
  const indent = new RegExp(`^ {0,${fence.indent}}`);
  const body = lines.slice(at + 1, end).map((line) => line.replace(indent, ""));
  return { block: { type: "code", lang: fence.lang, text: body.join("\n") }, next: end + 1 };
}
function readHeading(lines, at) {
  const match = /^ {0,3}(#{1,6})[ \t]+(.*)$/.exec(lines[at]);
  if (!match) return null;
  const text = match[2].trimEnd().replace(/(^|[ \t])#+$/, "");
  return { block: { type: "heading", level: match[1].length, children: parseInline(text) }, next: at + 1 };
}
function readRule(lines, at) {
  const text = lines[at].replace(/[ \t]/g, "");
  if (text.length < 3 || !/^[-*_]$/.test(text[0]) || text !== text[0].repeat(text.length)) return null;
  return { block: { type: "rule" }, next: at + 1 };
}

// "- x", "3. x": how far its text is indented, and its number.
function itemOf(line) {
  const match = /^( {0,3})(?:([-*+])|(\d{1,9})[.)])( {1,4}|\t|$)/.exec(line);
  return match && { ordered: match[3] !== undefined, start: Number(match[3] || 0), indent: match[0].replace("\t", " ").length };
}
function readList(lines, at, depth) {
  const first = itemOf(lines[at]);
  if (!first) return null;
  const items = [];
  let next = at;
  while (next < lines.length) {
    const item = itemOf(lines[next]);
    if (!item || item.ordered !== first.ordered || readRule(lines, next)) break;
    const body = [lines[next].slice(item.indent)];
    const inside = new RegExp(`^(?: {2,${Math.max(2, item.indent)}}|\t)`);
    let blank = 0;
    for (++next; next < lines.length; ++next) {
      const line = lines[next];
      if (line.trim() === "") { ++blank; continue; }
      if (inside.test(line)) body.push(...Array(blank).fill(""), line.replace(inside, ""));
      else if (blank > 0 || itemOf(line) || fenceOf(line) || readHeading(lines, next)) break;
      else body.push(line);
      blank = 0;
    }
    items.push(parseMarkdown(body.join("\n"), depth + 1));
  }
  return items.length === 0 ? null : { block: { type: "list", ordered: first.ordered, start: first.start, items }, next };
}
function readQuote(lines, at, depth) {
  let next = at;
  const body = [];
  while (next < lines.length && /^ {0,3}>/.test(lines[next])) body.push(lines[next++].replace(/^ {0,3}> ?/, ""));
  return body.length === 0 ? null : { block: { type: "quote", children: parseMarkdown(body.join("\n"), depth + 1) }, next };
}

// "| a | b |" as its cells; `\|` is a bar in one.
function cellsOf(line) {
  const text = line.trim().replace(/^\|/, "").replace(/(^|[^\\])\|$/, "$1");
  return text.split(/(?<!\\)\|/).map((cell) => cell.trim().replace(/\\\|/g, "|"));
}
function readTable(lines, at) {
  if (!lines[at].includes("|") || at + 1 >= lines.length || !/^[\s|:-]+$/.test(lines[at + 1])) return null;
  const head = cellsOf(lines[at]);
  const marks = cellsOf(lines[at + 1]);
  if (head.length !== marks.length || !marks.every((mark) => /^:?-+:?$/.test(mark))) return null;
  const align = marks.map((mark) => (mark.endsWith(":") ? (mark.startsWith(":") ? "center" : "right") : "left"));
  const rows = [];
  let next = at + 2;
  for (; next < lines.length && lines[next].includes("|") && lines[next].trim() !== ""; ++next) {
    const cells = cellsOf(lines[next]);
    rows.push(head.map((_, i) => parseInline(cells[i] || "")));
  }
  return { block: { type: "table", align, head: head.map((cell) => parseInline(cell)), rows }, next };
}
