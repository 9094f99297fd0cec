// One message of the transcript as an element: its text, thought, calls, and what can be done with it.
// A view is drawn from its node; while an answer comes, push…() add to it.
//
// actions: edit(node, text), regenerate(node), continueAnswer(node), continueFrom(node, at, rival, text),
//          choose(id), remove(node), sendResults(node, texts), endThought(node), showRow(node, row),
//          trace(node), busy(), branch(node), settings(), features()
// live: its answer is coming.
function makeMessageView(node, actions, live = false) {
  const element = make("li", { class: "message " + node.role, tabindex: "-1" });
  element.dataset.id = node.id;
  const view = { element, node, live };
  if (node.role === "assistant") Object.assign(view, assistantParts(view, actions));
  view.draw = () => {
    const name = { user: "you", assistant: "assistant", tool: "tool" }[node.role];
    element.replaceChildren(make("h2", { class: "unseen" }, say(name)));
    if (node.role === "assistant") view.drawAnswer();
    else if (node.role === "user") element.append(make("div", { class: "bubble" }, node.content.length > longPaste ? `${node.content.slice(0, 2000)} … ${say("characters", { n: shortNumber(node.content.length) })}` : node.content));
    else element.append(make("details", { class: "card result" }, make("summary", {}, icon("tool"), say("tool")), make("pre", { tabindex: "0" }, pretty(node.content))));
    view.actionsBar = make("div", { class: "actions" });
    element.append(view.actionsBar);
    view.drawActions();
  };
  view.drawActions = () => view.actionsBar.replaceChildren(...(view.live ? [] : messageActions(view, actions)));
  view.draw();
  return view;
}

function pretty(text) {
  try { return JSON.stringify(JSON.parse(text), null, 2); } catch { return text; }
}

function messageActions(view, actions) {
  const { node } = view;
  const { at, all } = actions.branch(node);
  const parts = [];
  if (all.length > 1) {
    const arrow = (name, label, to) => iconButton(name, say(label), () => actions.choose(all[to]), { disabled: all[to] === undefined || actions.busy() ? "" : null });
    parts.push(make("span", { class: "branches" }, arrow("left", "previous", at - 1),
      make("span", { class: "branch-at", title: say("branch", { i: at + 1, n: all.length }) }, `${at + 1}/${all.length}`), arrow("right", "next", at + 1)));
  }
  const busy = actions.busy() ? "" : null;
  parts.push(iconButton("copy", say("copy"), () => copyText(node.content)));
  if (node.role !== "tool") parts.push(iconButton("edit", say("edit"), () => editMessage(view, actions), { disabled: busy ?? (node.content.length > 2e5 ? "" : null) }));
  if (node.role === "assistant") {
    parts.push(iconButton("again", say("regenerate"), () => actions.regenerate(node), { disabled: busy }));
    if (node.content !== "" && !(node.calls && node.calls.length)) parts.push(iconButton("continue", say("continue"), () => actions.continueAnswer(node), { disabled: busy }));
    if (node.content !== "" || (node.calls && node.calls.length)) parts.push(iconButton("trace", say("trace"), () => actions.trace(node), { disabled: busy }));
  }
  parts.push(iconButton("remove", say("remove"), () => actions.remove(node), { disabled: busy }));
  if (node.role === "assistant") parts.push(make("span", { class: "about" }, ...aboutAnswer(node)));
  return parts;
}
// How it ended and how fast it was.
function aboutAnswer(node) {
  const texts = [];
  const end = node.finish_detail === "repetition" ? "repetition" : node.finish_detail === "tool_call_invalid" ? "toolInvalid"
    : { stopped: "stopped", length: "length" }[node.finish];
  if (end) texts.push(make("span", { class: "ended" }, say(end)));
  if (node.answer_tokens) texts.push(make("span", {}, say("thoughtTokens", { n: node.answer_tokens })));
  if (node.rate) texts.push(make("span", {}, say("tokensPerSecond", { n: node.rate.toFixed(node.rate < 10 ? 1 : 0) })));
  return texts;
}

// The text becomes a field. What is saved is a branch; the old one stays beside it.
function editMessage(view, actions) {
  const { node, element } = view;
  const area = make("textarea", { class: "edit", "aria-label": say("edit"), rows: "3" });
  area.value = node.content;
  const end = () => { view.draw(); element.focus(); };
  const save = () => { if (area.value.trim() !== "") actions.edit(node, area.value); };
  area.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { event.stopPropagation(); end(); }
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.isComposing) { event.preventDefault(); save(); }
  });
  element.replaceChildren(make("div", { class: "editor" }, area, make("div", { class: "editor-end" },
    make("button", { type: "button", click: end }, say("cancel")),
    make("button", { type: "button", class: "primary", click: save }, say(node.role === "user" ? "sendBranch" : "saveBranch")))));
  fitHeight(area);
  area.addEventListener("input", () => fitHeight(area));
  area.focus();
}
// As high as its text, up to a limit of the style.
function fitHeight(area) {
  area.style.setProperty("height", "auto");
  area.style.setProperty("height", area.scrollHeight + 2 + "px");
}
