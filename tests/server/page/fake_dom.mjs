// As much of a document as the page's rendering needs, to run it in Node: elements, text, events that
// never come. It counts the characters that are put into text, which is what growing costs.
export const work = { characters: 0, nodes: 0 };

class FakeNode {
  parentNode = null;
  remove() {
    if (!this.parentNode) return;
    const list = this.parentNode.childNodes;
    list.splice(list.indexOf(this), 1);
    this.parentNode = null;
  }
  put(nodes, offset) {
    const list = this.parentNode.childNodes;
    insert(this.parentNode, nodes, list.indexOf(this) + offset);
  }
  before(...nodes) { this.put(nodes, 0); }
  after(...nodes) { this.put(nodes, 1); }
}
class FakeText extends FakeNode {
  constructor(text) { super(); this.data = String(text); work.characters += this.data.length; ++work.nodes; }
  appendData(text) { this.data += text; work.characters += text.length; }
  get length() { return this.data.length; }
  get textContent() { return this.data; }
}
function insert(parent, nodes, at) {
  for (const one of nodes) {
    const node = one instanceof FakeNode ? one : new FakeText(one);
    node.remove();
    parent.childNodes.splice(at++, 0, node);
    node.parentNode = parent;
  }
}
export class FakeElement extends FakeNode {
  constructor(tag) {
    super();
    this.tagName = tag.toUpperCase();
    this.childNodes = [];
    this.attributes = new Map();
    this.listeners = {};
    this.dataset = {};
    this.styles = {};
    this.style = { setProperty: (name, value) => { this.styles[name] = value; } };
    this.classList = { toggle: () => {}, add: () => {}, remove: () => {}, contains: () => false };
    this.tabIndex = -1;
    ++work.nodes;
  }
  append(...nodes) { insert(this, nodes, this.childNodes.length); }
  prepend(...nodes) { insert(this, nodes, 0); }
  insertBefore(node, before) { insert(this, [node], before ? this.childNodes.indexOf(before) : this.childNodes.length); }
  replaceChildren(...nodes) { for (const child of [...this.childNodes]) child.remove(); this.append(...nodes); }
  setAttribute(name, value) { this.attributes.set(name, String(value)); }
  getAttribute(name) { return this.attributes.get(name) ?? null; }
  addEventListener(type, listener) { (this.listeners[type] ??= []).push(listener); }
  set className(value) { this.attributes.set("class", value); }
  get className() { return this.attributes.get("class") ?? ""; }
  get textContent() { return this.childNodes.map((child) => child.textContent).join(""); }
  set textContent(text) { this.replaceChildren(...(text === "" ? [] : [text])); }
  // By tag alone.
  querySelector(tag) {
    return everyElement(this).find((one) => one !== this && one.tagName === tag.toUpperCase()) ?? null;
  }
}
export function everyElement(root) {
  return [root, ...root.childNodes.flatMap((child) => (child instanceof FakeElement ? everyElement(child) : []))];
}
export const fakeDocument = {
  createElement: (tag) => new FakeElement(tag),
  createElementNS: (_, tag) => new FakeElement(tag),
  createTextNode: (text) => new FakeText(text),
};
// A tree of elements as text that two of them share only when they are the same.
export function serialized(node) {
  if (node instanceof FakeText) return JSON.stringify(node.data);
  let texts = "";
  const parts = [];
  for (const child of node.childNodes) {
    if (child instanceof FakeText) { texts += child.data; continue; }
    if (texts !== "") parts.push(JSON.stringify(texts));
    texts = "";
    parts.push(serialized(child));
  }
  if (texts !== "") parts.push(JSON.stringify(texts));
  const attributes = [...node.attributes].sort().map(([name, value]) => ` ${name}=${JSON.stringify(value)}`).join("");
  return `<${node.tagName}${attributes}>(${parts.join(",")})`;
}
