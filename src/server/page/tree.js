// A conversation as a tree of messages: editing and answering again make branches, nothing is
// overwritten. Pure: the tree is a plain object, which store.js keeps and files carry.
//
//   {id, title, created, updated, nodes: Map(id -> node), chosen: {parent id or "root": child id}}
//   node: {id, parent (null: first), role: user|assistant|tool, content, reasoning?, calls?: [{id, name,
//          arguments}], call_id?, created, and what is only shown: tokens?, finish?, usage?, …}
function newId() {
  return [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
function newConversation(now) {
  return { id: newId(), title: "", created: now, updated: now, nodes: new Map(), chosen: {} };
}
const keyOf = (parent) => parent ?? "root";

function childrenOf(tree, parent) {
  return [...tree.nodes.values()].filter((node) => node.parent === parent);
}
// Adds a message below `parent` and chooses it.
function addNode(tree, parent, fields) {
  const node = { id: newId(), parent, content: "", ...fields };
  tree.nodes.set(node.id, node);
  tree.chosen[keyOf(parent)] = node.id;
  return node;
}
// The messages that are shown: from the first along the chosen branches; the newest where none is chosen.
function pathOf(tree) {
  const byParent = new Map();
  for (const node of tree.nodes.values()) {
    const key = keyOf(node.parent);
    if (!byParent.has(key)) byParent.set(key, []);
    byParent.get(key).push(node);
  }
  const path = [];
  for (let key = "root"; byParent.has(key);) {
    const children = byParent.get(key);
    const node = children.find((child) => child.id === tree.chosen[key]) || children[children.length - 1];
    path.push(node);
    key = node.id;
  }
  return path;
}
// From the first message to `id`, that included.
function pathTo(tree, id) {
  const path = [];
  for (let node = tree.nodes.get(id); node; node = tree.nodes.get(node.parent)) path.unshift(node);
  return path;
}
// Which of the branches at its place a message is: {at, all: [id]}.
function branchOf(tree, node) {
  const all = childrenOf(tree, node.parent).map((child) => child.id);
  return { at: all.indexOf(node.id), all };
}
function chooseNode(tree, id) {
  const node = tree.nodes.get(id);
  tree.chosen[keyOf(node.parent)] = id;
}
// Removes a message and what follows it; returns the ids that are gone. A branch beside it is shown then.
function removeNode(tree, id) {
  const { parent } = tree.nodes.get(id);
  const { at, all } = branchOf(tree, tree.nodes.get(id));
  const gone = [id];
  for (let i = 0; i < gone.length; ++i) gone.push(...childrenOf(tree, gone[i]).map((child) => child.id));
  for (const one of gone) {
    tree.nodes.delete(one);
    delete tree.chosen[one];
  }
  const beside = all[at - 1] ?? all[at + 1];
  if (beside) tree.chosen[keyOf(parent)] = beside;
  else delete tree.chosen[keyOf(parent)];
  return gone;
}
function titleOf(tree) {
  if (tree.title) return tree.title;
  const first = pathOf(tree).find((node) => node.role === "user");
  return first ? first.content.slice(0, 400).trim().replace(/\s+/g, " ").slice(0, 80) : "";
}
// Messages as the API takes them.
function apiMessages(path, system) {
  const messages = system.trim() === "" ? [] : [{ role: "system", content: system }];
  for (const node of path) {
    const calls = node.calls && node.calls.length > 0;
    if (node.role === "assistant" && node.content === "" && !calls) continue;  // it failed, or was stopped at once
    const message = { role: node.role, content: node.content };
    if (node.role === "assistant" && node.reasoning) message.reasoning_content = node.reasoning;
    if (node.role === "tool") message.tool_call_id = node.call_id;
    if (calls) {
      message.tool_calls = node.calls.map((call) => ({ id: call.id, type: "function", function: { name: call.name, arguments: call.arguments } }));
    }
    messages.push(message);
  }
  return messages;
}

// ---- files -----------------------------------------------------------------------------------------
const fileFormat = "qwen3-conversations";
function exportConversations(trees) {
  return { format: fileFormat, version: 1, conversations: trees.map((tree) => ({ ...tree, nodes: [...tree.nodes.values()] })) };
}
// The conversations of a file, under new ids: what is there already stays. Throws Error that says what
// is wrong; nothing of the file is taken over but fields of the types above.
function importConversations(data) {
  if (data === null || typeof data !== "object" || data.format !== fileFormat) throw new Error(`format: expected "${fileFormat}"`);
  if (data.version !== 1) throw new Error("version: expected 1");
  if (!Array.isArray(data.conversations)) throw new Error("conversations: expected an array");
  return data.conversations.map((one, i) => importOne(one, `conversations[${i}]`));
}
const textOr = (value, otherwise) => (typeof value === "string" ? value : otherwise);
const numberOr = (value, otherwise) => (Number.isFinite(value) ? value : otherwise);
function importOne(one, where) {
  if (one === null || typeof one !== "object" || !Array.isArray(one.nodes)) throw new Error(`${where}.nodes: expected an array`);
  const tree = newConversation(numberOr(one.created, 0));
  tree.title = textOr(one.title, "").slice(0, 500);
  tree.updated = numberOr(one.updated, tree.created);
  const ids = new Map();
  let last = 0;
  for (const [i, node] of one.nodes.entries()) {
    const at = `${where}.nodes[${i}]`;
    if (node === null || typeof node !== "object" || typeof node.id !== "string" || ids.has(node.id)) throw new Error(`${at}.id: expected a text of its own`);
    if (node.parent !== null && !ids.has(node.parent)) throw new Error(`${at}.parent: expected null or the id of an earlier node`);
    const read = importNode(node, at);
    read.parent = node.parent === null ? null : ids.get(node.parent);
    read.created = last = Math.max(read.created, last + 1);  // the store keeps them in this order
    ids.set(node.id, read.id);
    tree.nodes.set(read.id, read);
  }
  for (const [parent, child] of Object.entries(one.chosen || {})) {
    const key = parent === "root" ? "root" : ids.get(parent);
    if (key && ids.has(child) && keyOf(tree.nodes.get(ids.get(child)).parent) === key) tree.chosen[key] = ids.get(child);
  }
  return tree;
}
function importNode(node, at) {
  if (!["user", "assistant", "tool"].includes(node.role)) throw new Error(`${at}.role: expected user, assistant or tool`);
  if (typeof node.content !== "string") throw new Error(`${at}.content: expected a text`);
  const read = { id: newId(), parent: null, role: node.role, content: node.content, created: numberOr(node.created, 0) };
  for (const name of ["reasoning", "call_id", "finish", "finish_detail", "error", "model"]) if (typeof node[name] === "string") read[name] = node[name];
  for (const name of ["thought_tokens", "answer_tokens", "rate", "prompt_tokens", "cached_tokens"]) if (Number.isFinite(node[name])) read[name] = node[name];
  if (Array.isArray(node.calls)) {
    read.calls = node.calls.filter((call) => call && typeof call === "object")
      .map((call) => ({ id: textOr(call.id, newId()), name: textOr(call.name, ""), arguments: textOr(call.arguments, "") }));
  }
  if (Array.isArray(node.tokens)) read.tokens = node.tokens.map(importToken).filter((token) => token !== null);
  return read;
}
