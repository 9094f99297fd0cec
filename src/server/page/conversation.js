// What happens to the conversation that is open: messages are sent, answered, changed; the transcript
// shows the chosen branch. One answer is written at a time; it goes on while another conversation is
// looked at.

// Times of messages order them, so no two are the same.
function nextTime() { return (app.last = Math.max(Date.now(), app.last + 1)); }

const transcriptActions = {
  busy: () => app.running !== null, settings: () => app.settings, features: () => app.features,
  branch: (node) => branchOf(app.tree, node),
  isLast: (node) => childrenOf(app.tree, node.id).length === 0,
  edit: (node, text) => {
    const made = addNode(app.tree, node.parent, { role: node.role, content: text, created: nextTime() });
    keepNode(made);
    if (node.role === "user") answerBelow(made.id); else drawTranscript();
  },
  regenerate: (node) => answerBelow(node.parent),
  continueAnswer: (node) => run(node, true),
  continueFrom: (node, at, rival, text) => {
    if (app.running) return;
    const tokens = node.tokens.slice(0, at).map(({ row, ...token }) => token);
    tokens.push({ ...rival, top: node.tokens[at].top, forced: true });
    const made = addNode(app.tree, node.parent, { role: "assistant", content: text, reasoning: node.reasoning, thought_tokens: node.thought_tokens, tokens, created: nextTime() });
    run(made, true);
  },
  choose: (id) => { chooseNode(app.tree, id); saveConversation(app.tree); drawTranscript(); focusMessage(id); },
  remove: async (node) => {
    if (!await ask({ title: say("deleteMessage"), ok: say("remove"), danger: true })) return;
    removeStored("messages", removeNode(app.tree, node.id));
    saveConversation(app.tree);
    drawTranscript();
    refreshList();
  },
  sendResults: (node, texts) => {
    let parent = node.id;
    node.calls.forEach((call, i) => {
      const made = addNode(app.tree, parent, { role: "tool", content: texts[i], call_id: call.id, created: nextTime() });
      keepNode(made);
      parent = made.id;
    });
    answerBelow(parent);
  },
  endThought: async (node) => {
    try { await endThought(node.answer_id); } catch (error) { toast(error.message); }
  },
  showRow: (node, row) => {
    const kept = node && app.maps.get(node.id);
    const values = kept && row !== null ? kept.rows[row] : null;
    markExperts(values, values ? say("mapToken", { i: row + 1, n: kept.rows.length }) : "");
  },
  trace: openTrace,
};

// tree.gone: deleted while its answer was still coming; nothing of it is kept then.
function keepNode(node, tree = app.tree) {
  if (tree.gone) return Promise.resolve();
  tree.updated = Date.now();
  return Promise.all([saveConversation(tree), saveNodes(tree, node)]).catch((error) => toast(String(error.message || error)));
}

// ---- the transcript ---------------------------------------------------------------------------------
function drawTranscript() {
  hideInspector();
  const path = pathOf(app.tree);
  const visible = path.slice(-app.shown);
  app.views = [];
  const live = (node) => app.running !== null && app.running.node === node;
  app.views = visible.map((node) => makeMessageView(node, transcriptActions, live(node)));
  byId("transcript").replaceChildren(...app.views.map((view) => view.element));
  byId("earlier").hidden = visible.length === path.length;
  byId("earlier").textContent = say("earlier", { n: path.length - visible.length });
  byId("welcome").hidden = path.length > 0;
  byId("title").textContent = titleOf(app.tree) || say("untitled");
  document.title = titleOf(app.tree) ? `${titleOf(app.tree)} · qwen3` : "qwen3";
  const newest = path.findLast((node) => app.maps.has(node.id));
  showExperts(newest ? app.maps.get(newest.id).map : null);
  refreshStatus();
}
function focusMessage(id) {
  const view = app.views.find((one) => one.node.id === id);
  if (view) view.element.scrollIntoView({ block: "nearest" });
}
const viewOf = (node) => app.views.find((view) => view.node === node);
function isAtEnd() {
  const box = byId("scroll");
  return box.scrollHeight - box.scrollTop - box.clientHeight < 48;
}
function toEnd() {
  const box = byId("scroll");
  box.scrollTop = box.scrollHeight;
  byId("newest").hidden = true;
}
function refreshStatus() {
  const path = pathOf(app.tree);
  const node = app.running && app.running.tree === app.tree ? app.running.node : path.findLast((one) => one.role === "assistant");
  drawStatus({ features: app.features, node, queue: app.running ? app.queue : null, live: app.running !== null });
}

// ---- asking -------------------------------------------------------------------------------------------
function sendMessage(text) {
  if (app.running || text.trim() === "" || !app.features) return false;
  const path = pathOf(app.tree);
  const parent = path.length > 0 ? path[path.length - 1].id : null;
  const made = addNode(app.tree, parent, { role: "user", content: text, created: nextTime() });
  keepNode(made).then(refreshList);
  answerBelow(made.id);
  return true;
}
function answerBelow(parent) {
  if (app.running) return;
  const node = addNode(app.tree, parent, { role: "assistant", created: nextTime() });
  run(node, false);
}

// Frames of a hidden page do not come: then a timer.
function onNextFrame(go) { if (document.hidden) setTimeout(go, 250); else requestAnimationFrame(go); }

function makeLiveView(node) {
  const none = () => ({ reasoning: "", content: "", newTokens: [], hasCalls: false });
  let pending = none(), waiting = false;
  function flush() {
    waiting = false;
    const news = pending;
    pending = none();
    const view = viewOf(node);
    if (!view || !view.live) return;
    const follow = isAtEnd();
    view.pushLive(news);
    if (follow) toEnd(); else byId("newest").hidden = false;
    refreshStatus();
    drawPrefill(null);
  }
  const soon = () => { if (!waiting) { waiting = true; onNextFrame(flush); } };
  return {
    onText: (text) => { pending.content += text; soon(); },
    onReasoning: (text) => { pending.reasoning += text; soon(); },
    onTokens: (tokens) => { pending.newTokens.push(...tokens); soon(); },
    onCalls: () => { pending.hasCalls = true; soon(); },
    onRows: (rows, shape) => {
      const kept = app.maps.get(node.id) || { map: makeExpertMap(shape[0], shape[1]), rows: [] };
      app.maps.set(node.id, kept);
      for (const row of rows) { kept.map.add(row); kept.rows.push(row); }
      if (viewOf(node)) showExperts(kept.map);
    },
    onProgress: (progress, elapsed) => { if (viewOf(node)) drawPrefill(progress, elapsed); },
    flush,
  };
}

// Lets the model write `node`, or go on writing it.
async function run(node, continued) {
  const tree = app.tree;
  const path = pathTo(tree, continued ? node.id : node.parent);
  const body = makeRequest(path, app.settings, app.features, continued);
  const abort = new AbortController();
  app.running = { node, tree, abort };
  delete node.trace_id;
  drawTranscript();
  drawComposer();
  toEnd();
  const live = makeLiveView(node);
  const saving = setInterval(() => { if (!tree.gone) saveNodes(tree, node).catch(() => { /* the end says so */ }); }, 2000);
  const watching = watchQueue();
  const before = node.content.length;
  const state = { ids: [], placed: 0, rows: [], shape: null };
  if (continued) {  // rows are those of one request
    app.maps.delete(node.id);
    for (const token of node.tokens || []) delete token.row;
  }
  await answer(body, node, live, abort, state);
  clearInterval(saving);
  clearInterval(watching);
  live.flush();
  app.running = null;
  app.queue = null;
  if (body.trace && !node.error) node.trace_id = node.answer_id;
  finishRun(node, tree, before);
}
function finishRun(node, tree, before) {
  const view = viewOf(node);
  if (view) {
    const follow = isAtEnd();
    view.finishLive();
    for (const other of app.views) other.drawActions();
    if (follow) toEnd();
  }
  drawPrefill(null);
  drawComposer();
  refreshStatus();
  if (node.error_param) showFieldProblem(node.error_param, node.error);
  if (!byId("panel-request").hidden) buildRequestPanel();
  announce(node.error || node.content.slice(before, before + 4000));
  byId("title").textContent = titleOf(app.tree) || say("untitled");
  keepNode(node, tree).then(refreshList);
}
function stopAnswer() { if (app.running) app.running.abort.abort(); }
// Others' requests, on servers that count them for everybody to see.
function watchQueue() {
  if (!app.features.metrics) return 0;
  return setInterval(async () => {
    const queue = await fetchQueue().catch(() => null);
    if (!app.running) return;
    app.queue = queue;
    refreshStatus();
  }, 1500);
}
