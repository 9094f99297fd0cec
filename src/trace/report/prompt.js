// The prompt: tokens to choose from, facts of the model.
function drawPrompt() {
  const box = byId("tokens");
  box.replaceChildren(...data.tokens.map((_, index) => make("button", {
    type: "button", class: index < data.n_prompt ? "token" : "token generated", role: "radio", "aria-checked": String(index === state.token),
    tabindex: index === state.token ? "0" : "-1", title: positionTitle(index),
    onclick: () => chooseToken(index),
  }, tokenText(index))));
  const m = data.model;
  const facts = [[t.layers, m.layers], [t.hidden, m.hidden_size], [t.heads, m.heads], [t.kv, m.kv_heads],
    ...(m.moe ? [[t.expertCount, m.experts], [t.topK, m.top_k]] : []), [t.vocab, m.vocab_size], [t.tokenCount, nTokens]];
  const nGenerated = nTokens - data.n_prompt;
  const notes = [];
  if (data.tokens_not_recorded > 0) notes.push(t.cut(nTokens, nTokens + data.tokens_not_recorded));
  if (nGenerated > 0) notes.push(t.generatedLead(nGenerated));
  byId("generated").textContent = notes.join(" ");
  const bad = (data.taps || []).filter((tap) => tap[8] + tap[9] > 0);
  byId("facts").replaceChildren(...facts.map(([name, value]) => make("span", {}, name + " ", make("b", {}, String(value)))),
    data.taps ? make("span", { class: bad.length ? "bad" : "" }, bad.length ? t.notFinite(bad[0][0]) : t.finite) : "");
  showChosenToken();
}
function moveToken(event) {
  const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
  const jump = { Home: 0, End: nTokens - 1 }[event.key];
  if (step === undefined && jump === undefined) return;
  event.preventDefault();
  chooseToken(jump !== undefined ? jump : Math.max(0, Math.min(nTokens - 1, state.token + step)));
  byId("tokens").children[state.token].focus();
}
function showChosenToken() {
  const box = byId("tokens"), chosen = box.children[state.token];
  if (chosen) box.scrollTop = Math.max(0, chosen.offsetTop - box.offsetTop - box.clientHeight / 2);
}
// The sections that show the chosen token. On a long text they take tenths of a second, so there they
// wait until a held arrow key is let go.
function followChoice() { drawExperts(); drawLens(); drawAttention(); }
let pendingFollow = 0;
function chooseToken(index) {
  const buttons = byId("tokens").children;
  buttons[state.token].setAttribute("aria-checked", "false");
  buttons[state.token].tabIndex = -1;
  state.token = index;
  keepInAddress({ token: index });
  buttons[index].setAttribute("aria-checked", "true");
  buttons[index].tabIndex = 0;
  clearTimeout(pendingFollow);
  if (nTokens <= 200) followChoice();
  else pendingFollow = setTimeout(followChoice, 120);
}
