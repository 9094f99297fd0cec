// The tree of markdown.js as elements, whole or while its text is coming.
const longOpenBlock = 4000;      // beyond it an open block grows as plain text until it is finished
const wholeAgain = 200 << 10;    // up to this an answer is drawn as a whole once more at its end
const maxTextNode = 4096;        // growing a text node costs time by its length
const maxPart = 64;              // blocks in a part, and such parts in one: a browser skips those out of sight

function inlineElements(nodes) {
  return nodes.map((node) => {
    switch (node.type) {
      case "code": return make("code", {}, node.text);
      case "strong": case "em": case "del": return make(node.type, {}, ...inlineElements(node.children));
      case "link": return make("a", { href: node.href, rel: "noopener noreferrer", target: "_blank" }, ...inlineElements(node.children));
      case "break": return make("br");
      case "math": return mathElement(node);
      default: return document.createTextNode(node.text);
    }
  });
}
// As MathML; as its source where that is not understood.
function mathElement({ text, source, display }) {
  const tree = parseMath(text, display);
  const drawn = tree ? mathTree(tree) : make("code", { class: "math-source" }, source);
  return display ? make("span", { class: "math", tabindex: "0" }, drawn) : drawn;
}
function mathTree({ tag, attributes, children, text }) {
  const element = document.createElementNS("http://www.w3.org/1998/Math/MathML", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...(children ? children.map(mathTree) : [text]));
  return element;
}
function codeElement(lang, text) {
  const code = make("code", {}, text);
  const copy = make("button", { type: "button", class: "copy-code", "aria-label": say("copyCode"), click: () => copyText(code.textContent) }, icon("copy"), make("span", {}, say("copy")));
  return make("figure", { class: "code" }, make("figcaption", {}, make("span", {}, lang || say("code")), copy), make("pre", { tabindex: "0" }, code));
}
function tableElement(block) {
  const cell = (tag, children, i) => make(tag, { class: block.align[i] === "left" ? null : block.align[i] }, ...inlineElements(children));
  return make("div", { class: "table", tabindex: "0" }, make("table", {},
    make("thead", {}, make("tr", {}, ...block.head.map((children, i) => cell("th", children, i)))),
    make("tbody", {}, ...block.rows.map((row) => make("tr", {}, ...row.map((children, i) => cell("td", children, i)))))));
}
function listElement(block) {
  const items = block.items.map((blocks) => make("li", {}, ...(blocks.length > 0 && blocks[0].type === "paragraph"
    ? [...inlineElements(blocks[0].children), ...blockElements(blocks.slice(1))] : blockElements(blocks))));
  return make(block.ordered ? "ol" : "ul", { start: block.ordered && block.start !== 1 ? String(block.start) : null }, ...items);
}
// Headings of an answer stand below those of the page.
function blockElements(blocks) {
  return blocks.map((block) => {
    switch (block.type) {
      case "heading": return make("h" + Math.min(6, block.level + 2), {}, ...inlineElements(block.children));
      case "code": return codeElement(block.lang, block.text);
      case "list": return listElement(block);
      case "quote": return make("blockquote", {}, ...blockElements(block.children));
      case "table": return tableElement(block);
      case "rule": return make("hr");
      case "math": return mathElement(block);
      default: return make("p", {}, ...inlineElements(block.children));
    }
  });
}
function markdownElements(text) { return blockElements(parseMarkdown(text)); }

// Text that grows at the end of `element`; a piece costs time by its own length.
function makeGrowingText(element) {
  let node = null;
  return (text) => {
    if (text === "") return;
    if (!node || node.length > maxTextNode) {
      node = document.createTextNode(text);
      element.append(node);
    } else {
      node.appendData(text);
    }
  };
}

// An answer that is coming, into `element`: push(text) as often as there is some, finish() once.
function makeMarkdownView(element) {
  const splitter = makeSplitter();
  const parts = [];      // the whole text, in the pieces that came
  let length = 0;
  let open = [];         // elements of the open block
  let grow = null;       // set while the open block only grows
  let shown = 0;         // how much of the open block's text it shows
  let part = null;       // where finished blocks go,
  let shelf = null;    // and where such parts go
  const clear = () => { for (const one of open) one.remove(); open = []; grow = null; shown = 0; };
  function addFinished(blocks) {
    const isFull = (one) => one === null || one.childNodes.length >= maxPart;
    if (isFull(part)) {
      if (isFull(shelf)) element.append(shelf = make("div", { class: "part" }));
      shelf.append(part = make("div", { class: "part" }));
    }
    part.append(...blocks);
  }
  function drawOpen() {
    const text = splitter.open();
    if (grow) { grow(text.slice(shown)); shown = text.length; return; }
    const inCode = splitter.inCode();
    const lineEnd = text.indexOf("\n") + 1;
    if (!inCode && text.length <= longOpenBlock) {
      clear();
      open = markdownElements(text);
      element.append(...open);
      return;
    }
    clear();
    const block = inCode ? codeElement(fenceOf(text.slice(0, lineEnd - 1)).lang, "") : make("p", { class: "plain" });
    grow = makeGrowingText(inCode ? block.querySelector("code") : block);
    open = [block];
    element.append(block);
    grow(text.slice(inCode ? lineEnd : 0));
    shown = text.length;
  }
  return {
    push(text) {
      parts.push(text);
      length += text.length;
      for (const done of splitter.push(text)) {
        clear();
        addFinished(markdownElements(done));
      }
      drawOpen();
    },
    finish() {
      if (length <= wholeAgain) { element.replaceChildren(...markdownElements(parts.join(""))); return; }
      clear();
      addFinished(markdownElements(splitter.open()));
    },
  };
}
