// The chat page of `qwen3 serve`: starts it and joins its parts. cmake/embed_page.cmake puts all scripts
// of this folder into one module, this one last.
async function refreshList() {
  await drawList(app.tree.id, { open: openConversation, rename: renameConversation, exportOne: exportConversation, remove: removeConversation });
}

// ---- conversations ------------------------------------------------------------------------------------
function startConversation() {
  app.tree = newConversation(Date.now());
  app.shown = 50;
  closeOverlays();
  drawTranscript();
  refreshList();
  focusInput();
}
async function openConversation(id) {
  const summary = listedConversations.find((one) => one.id === id);
  if (!summary) return;
  app.tree = app.running && app.running.tree.id === id ? app.running.tree : await loadConversation(summary);
  app.shown = 50;
  closeOverlays();
  drawTranscript();
  toEnd();
  refreshList();
}
async function renameConversation(summary) {
  const title = await ask({ title: say("renameTitle"), field: { type: "text", value: summary.title, label: say("renameTitle") }, ok: say("save") });
  if (title === null || title.trim() === "") return;
  const tree = summary.id === app.tree.id ? app.tree : await loadConversation(summary);
  tree.title = title.trim().slice(0, 500);
  await saveConversation(tree);
  if (tree === app.tree) byId("title").textContent = tree.title;
  refreshList();
}
// Before conversation `id`, null for all, is deleted.
function letGo(id) {
  if (!app.running || (id !== null && app.running.tree.id !== id)) return;
  app.running.tree.gone = true;
  stopAnswer();
}
async function removeConversation(summary) {
  if (!await ask({ title: say("deleteTitle"), text: summary.title, ok: say("remove"), danger: true })) return;
  letGo(summary.id);
  await deleteConversation(summary.id);
  if (summary.id === app.tree.id) startConversation(); else refreshList();
}
async function forgetAll() {
  if (!await ask({ title: say("forgetTitle"), text: say("forgetText"), ok: say("forget"), danger: true })) return;
  letGo(null);
  await forgetConversations();
  startConversation();
}
function saveTrees(trees, name) {
  saveFile(`${name.replace(/[^\p{L}\p{N}]+/gu, "-").slice(0, 60) || "chat"}.json`, JSON.stringify(exportConversations(trees), null, 1), "application/json");
}
async function exportConversation(summary) { saveTrees([await loadConversation(summary)], summary.title || say("untitled")); }
async function exportAll() {
  const trees = [];
  for (const summary of await listConversations()) trees.push(await loadConversation(summary));
  saveTrees(trees, "qwen3-conversations");
}
async function importFile(file) {
  try {
    const trees = importConversations(JSON.parse(await file.text()));
    for (const tree of trees) await saveWhole(tree);
    toast(say("imported", { n: trees.length }));
  } catch (error) {
    toast(say("importBad", { why: error.message }));
  }
  refreshList();
}

// ---- settings, theme, language -------------------------------------------------------------------------
function changeSetting(name, value) {
  app.settings[name] = value;
  saveSettings(app.settings);
  if (name === "theme") drawTheme();
  if (name === "language") { language = value; drawWords(); }
  if (name === "thinking") drawComposer();
}
function drawTheme() {
  const dark = app.settings.theme === "dark" || (app.settings.theme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  scheduleExperts();
}
function drawWords() {
  putWords();
  buildSettings(app.settings, app.features, changeSetting);
  buildExpertsPanel(app.features);
  buildRequestPanel();
  drawWelcome();
  drawTranscript();
  drawComposer();
  refreshList();
}
function drawWelcome() {
  const features = app.features;
  const box = byId("welcome");
  if (!features) { box.replaceChildren(make("p", { class: "note" }, app.trouble || "")); return; }
  const facts = [features.parameters ? say("parameters", { n: shortNumber(features.parameters) }) : null, features.context ? say("context", { n: shortNumber(features.context) }) : null];
  if (features.task !== "generate") {
    box.replaceChildren(make("h2", {}, features.name), make("p", { class: "note" }, say("noChat", { task: features.task })));
    return;
  }
  box.replaceChildren(make("h2", {}, features.name), make("p", { class: "quiet" }, facts.filter((fact) => fact).join(" · ")),
    make("div", { class: "examples" }, ...["example1", "example2", "example3"].map((name) => make("button", { type: "button", click: () => sendMessage(say(name)) }, say(name)))));
}
function drawComposer() {
  const { features, running } = app;
  const send = byId("send");
  send.replaceChildren(icon(running ? "stop" : "up"));
  send.setAttribute("aria-label", say(running ? "stop" : "send"));
  send.title = say(running ? "stop" : "send");
  send.classList.toggle("stopping", running !== null);
  const chats = features !== null && features.task === "generate";
  send.disabled = !running && (!chats || (byId("input").value.trim() === "" && attached.length === 0));
  byId("input").disabled = features !== null && !chats;
  const thinking = byId("thinking");
  thinking.hidden = !(chats && features.thinking);
  thinking.setAttribute("aria-pressed", String(app.settings.thinking !== "off"));
  thinking.title = say({ auto: "thinkingAuto", on: "thinkingOn", off: "thinkingOff" }[app.settings.thinking]) + " (Alt+T)";
  thinking.replaceChildren(icon("thought"), make("span", {}, say("thinkingHead")));
  byId("hint").textContent = isTouch() ? "" : say("hintKeys");
}
// Not on touch screens, where it opens the keyboard.
function focusInput() { if (!isTouch()) byId("input").focus(); }
const isTouch = () => matchMedia("(pointer: coarse)").matches;
const isNarrow = () => matchMedia("(max-width: 56rem)").matches;

// ---- sidebar and panel -----------------------------------------------------------------------------------
function showSidebar(open) {
  byId("app").classList.toggle("with-sidebar", open);
  byId("toggle-sidebar").setAttribute("aria-expanded", String(open));
  if (!isNarrow() && app.settings.sidebar !== open) changeSetting("sidebar", open);
}
const sidebarOpen = () => byId("app").classList.contains("with-sidebar");
const tabs = ["settings", "experts", "request"];
// tab: one of `tabs`, or null to close.
function showPanel(tab) {
  const panel = byId("panel");
  if (tab === null && panel.contains(document.activeElement)) byId("toggle-settings").focus();
  panel.hidden = tab === null;
  for (const one of tabs) {
    byId("panel-" + one).hidden = one !== tab;
    byId("tab-" + one).setAttribute("aria-selected", String(one === tab));
    byId("tab-" + one).tabIndex = one === tab ? 0 : -1;
  }
  byId("toggle-settings").setAttribute("aria-pressed", String(tab === "settings"));
  byId("toggle-experts").setAttribute("aria-pressed", String(tab === "experts"));
  if (tab === "request") buildRequestPanel();
  if (tab === "experts") drawExperts();
}
const panelTab = () => tabs.find((tab) => !byId("panel-" + tab).hidden && !byId("panel").hidden) || null;
function togglePanel(tab) { showPanel(panelTab() === tab ? null : tab); }
function closeOverlays() {
  if (!isNarrow()) return;
  showSidebar(false);
  showPanel(null);
}
function toggleTokens() {
  changeSetting("show_tokens", !app.settings.show_tokens);
  byId("toggle-tokens").setAttribute("aria-pressed", String(app.settings.show_tokens));
  const follow = isAtEnd();
  drawTranscript();
  if (follow) toEnd();
}

// ---- keys and clicks ----------------------------------------------------------------------------------------
function submit() {
  if (app.running) { stopAnswer(); return; }
  const input = byId("input");
  if (!sendMessage(withAttached(input.value))) return;
  input.value = "";
  attached.length = 0;
  drawAttached();
  fitHeight(input);
  drawComposer();
}
function onInputKey(event) {
  if (event.isComposing) return;
  if (event.key === "Enter" && !event.shiftKey && !isTouch()) { event.preventDefault(); if (!app.running) submit(); }
  if (event.key === "ArrowUp" && byId("input").value === "" && !app.running) {
    const view = app.views.findLast((one) => one.node.role === "user");
    if (view) { event.preventDefault(); editMessage(view, transcriptActions); }
  }
}
function onKey(event) {
  const command = event.ctrlKey || event.metaKey;
  const key = event.key.toLowerCase();
  if (byId("dialog").open) return;
  if (command && !event.shiftKey && key === "k") { showSidebar(true); byId("search").focus(); }
  else if (command && !event.shiftKey && key === "b") showSidebar(!sidebarOpen());
  else if (command && event.shiftKey && key === "o") startConversation();
  else if (event.altKey && event.code === "KeyT" && app.features && app.features.thinking) changeSetting("thinking", app.settings.thinking === "off" ? "auto" : "off");
  else if (event.key === "Escape") { if (app.running) stopAnswer(); else if (isNarrow()) closeOverlays(); else return; }
  else return;
  event.preventDefault();
}
function listen() {
  const on = (id, go) => byId(id).addEventListener("click", go);
  const input = byId("input");
  byId("composer").addEventListener("submit", (event) => { event.preventDefault(); submit(); });
  input.addEventListener("keydown", onInputKey);
  input.addEventListener("paste", onPaste);
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", onDrop);
  input.addEventListener("input", () => { fitHeight(input); drawComposer(); });
  document.addEventListener("keydown", onKey);
  on("new", startConversation);
  on("export-all", exportAll);
  on("forget", forgetAll);
  on("import", () => byId("import-file").click());
  byId("import-file").addEventListener("change", (event) => { if (event.target.files[0]) importFile(event.target.files[0]); event.target.value = ""; });
  let typing = 0;
  byId("search").addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(refreshList, 150); });
  on("toggle-sidebar", () => showSidebar(!sidebarOpen()));
  on("toggle-tokens", toggleTokens);
  on("toggle-experts", () => togglePanel("experts"));
  on("toggle-settings", () => togglePanel("settings"));
  on("close-panel", () => showPanel(null));
  for (const tab of tabs) on("tab-" + tab, () => showPanel(tab));
  on("thinking", () => changeSetting("thinking", app.settings.thinking === "off" ? "auto" : "off"));
  on("newest", toEnd);
  on("earlier", () => { app.shown += 200; drawTranscript(); });
  byId("scroll").addEventListener("scroll", () => { if (isAtEnd()) byId("newest").hidden = true; });
  byId("panel").addEventListener("keydown", onTabKey);
  document.querySelector(".main").addEventListener("pointerdown", (event) => {
    if (isNarrow() && sidebarOpen() && !byId("toggle-sidebar").contains(event.target)) showSidebar(false);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawTheme);
}
function onTabKey(event) {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step || event.target.getAttribute("role") !== "tab") return;
  const next = tabs[(tabs.indexOf(panelTab()) + step + tabs.length) % tabs.length];
  showPanel(next);
  byId("tab-" + next).focus();
}

// ---- the start ------------------------------------------------------------------------------------------------
// Asks until the model is there.
async function connect() {
  for (;;) {
    try {
      app.features = (await fetchModels())[0];
      return;
    } catch (error) {
      app.trouble = error.status === 503 ? say("loading") : error.message;
      drawWelcome();
      if (error.status === 401) {
        byId("welcome").append(make("button", { type: "button", class: "primary", click: start }, say("keyAgain")));
        return;
      }
      await new Promise((resolve) => { setTimeout(resolve, 1000); });
    }
  }
}
async function start() {
  await connect();
  if (!app.features) return;
  byId("toggle-experts").hidden = byId("tab-experts").hidden = !app.features.experts;
  drawWords();
  focusInput();
}
async function startPage() {
  const lasting = await openStore();
  app.settings = await loadSettings();
  language = chooseLanguage(app.settings.language, navigator.languages || [navigator.language || ""]);
  drawTheme();
  listen();
  startInspector();
  byId("toggle-tokens").setAttribute("aria-pressed", String(app.settings.show_tokens));
  showSidebar(app.settings.sidebar && !isNarrow());
  showPanel(null);
  drawWords();
  byId("app").hidden = false;
  if (!lasting) toast(say("noStorage"));
  const [newest] = await listConversations();
  if (newest) { app.tree = await loadConversation(newest); drawTranscript(); toEnd(); refreshList(); }
  await start();
  toEnd();
}
startPage();
