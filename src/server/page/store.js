// What the page remembers, in this browser alone: IndexedDB with the conversations, their messages
// and the settings. Where a browser keeps nothing (private windows), the same in memory.
const storeName = "qwen3-chat";
let database = null;           // null: in memory
const memory = { conversations: new Map(), messages: new Map(), settings: new Map() };

function asPromise(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
// False when nothing will last.
async function openStore() {
  try {
    const request = indexedDB.open(storeName, 1);
    request.onupgradeneeded = () => {
      const db = request.result;
      db.createObjectStore("conversations", { keyPath: "id" });
      db.createObjectStore("messages", { keyPath: "id" }).createIndex("conversation", "conversation");
      db.createObjectStore("settings", { keyPath: "name" });
    };
    database = await asPromise(request);
    // Another tab wants to delete or to upgrade.
    database.onversionchange = () => database.close();
    return true;
  } catch { return false; }
}
function finished(transaction) {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = transaction.onerror = () => reject(transaction.error);
  });
}
async function put(kind, ...values) {
  const key = (value) => value.id ?? value.name;
  if (!database) { for (const value of values) memory[kind].set(key(value), structuredClone(value)); return; }
  const transaction = database.transaction(kind, "readwrite");
  for (const value of values) transaction.objectStore(kind).put(value);
  await finished(transaction);
}

function saveConversation(tree) {
  const { nodes, ...summary } = tree;
  return put("conversations", { ...summary, title: titleOf(tree) });
}
function saveNodes(tree, ...nodes) {
  return put("messages", ...nodes.map((node) => ({ ...node, conversation: tree.id })));
}
async function saveWhole(tree) {
  await saveConversation(tree);
  await saveNodes(tree, ...tree.nodes.values());
}
// Without their messages, newest first.
async function listConversations() {
  const all = database ? await asPromise(database.transaction("conversations").objectStore("conversations").getAll())
    : [...memory.conversations.values()];
  return all.sort((a, b) => b.updated - a.updated);
}
async function messagesOf(id) {
  if (!database) return [...memory.messages.values()].filter((node) => node.conversation === id);
  return asPromise(database.transaction("messages").objectStore("messages").index("conversation").getAll(id));
}
async function loadConversation(summary) {
  const nodes = (await messagesOf(summary.id)).sort((a, b) => a.created - b.created);
  return { ...summary, nodes: new Map(nodes.map(({ conversation, ...node }) => [node.id, structuredClone(node)])) };
}
async function removeStored(kind, ids) {
  if (!database) { for (const id of ids) memory[kind].delete(id); return; }
  const transaction = database.transaction(kind, "readwrite");
  for (const id of ids) transaction.objectStore(kind).delete(id);
  await finished(transaction);
}
async function deleteConversation(id) {
  await removeStored("messages", (await messagesOf(id)).map((node) => node.id));
  await removeStored("conversations", [id]);
}
async function forgetConversations() {
  for (const kind of ["messages", "conversations"]) {
    if (!database) { memory[kind].clear(); continue; }
    const transaction = database.transaction(kind, "readwrite");
    transaction.objectStore(kind).clear();
    await finished(transaction);
  }
}
// The ids of conversations in whose title or messages `text` occurs, letters large or small.
async function searchConversations(text) {
  const wanted = text.toLowerCase();
  const found = new Set();
  const look = (id, ...texts) => { if (texts.some((one) => (one || "").toLowerCase().includes(wanted))) found.add(id); };
  for (const one of await listConversations()) look(one.id, one.title);
  if (!database) {
    for (const node of memory.messages.values()) look(node.conversation, node.content, node.reasoning);
    return found;
  }
  const request = database.transaction("messages").objectStore("messages").openCursor();
  await new Promise((resolve, reject) => {
    request.onerror = () => reject(request.error);
    request.onsuccess = () => {
      const cursor = request.result;
      if (!cursor) { resolve(); return; }
      look(cursor.value.conversation, cursor.value.content, cursor.value.reasoning);
      cursor.continue();
    };
  });
  return found;
}
async function loadSettings() {
  const stored = database ? await asPromise(database.transaction("settings").objectStore("settings").get("page")) : memory.settings.get("page");
  return readSettings(stored && stored.value);
}
function saveSettings(settings) { return put("settings", { name: "page", value: { ...settings } }); }
