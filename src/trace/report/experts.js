// Experts: which token went where, and how evenly.
const routing = (data.routing || []).map((layer) => {
  const bytes = bytesOf(layer.experts);
  return { ...layer, ids: new Uint16Array(bytes.buffer, 0, bytes.length / 2), shares: bytesOf(layer.weights) };
});
// [expert, weight] of a token, largest weight first.
function choices(layer, token) {
  return Array.from({ length: layer.top_k }, (_, k) => [layer.ids[token * layer.top_k + k], layer.shares[token * layer.top_k + k] / 255]);
}
// [token, weight] of an expert, in the order of the text.
function visitors(layer, expert) {
  const list = [];
  for (let at = 0; at < layer.ids.length; ++at) {
    if (layer.ids[at] === expert) list.push([Math.floor(at / layer.top_k), layer.shares[at] / 255]);
  }
  return list;
}
const chip = (text, weight) => make("span", { class: "chip mono", style: shaded(weight) }, text, make("b", {}, percent(weight)));

// All tokens with their experts in one layer, coloured by the first one; those of `expert` are framed.
function journey(layer, expert) {
  const tokens = data.tokens.map((_, index) => {
    const [first, ...others] = choices(layer, index);
    const here = first[0] === expert || others.some(([other]) => other === expert);
    return make("span", { class: "token hued" + (here ? " here" : ""), style: `--hue:${first[0] * 137.508 % 360}`, role: "listitem",
      title: choices(layer, index).map(([id, weight]) => `${t.expert} ${id}${t.colon}${percent(weight)}`).join("\n"), onclick: () => chooseToken(index) },
    tokenText(index), make("b", {}, [first, ...others].map(([id]) => id).join("·")));
  });
  return make("div", { class: "tokens", role: "list", "aria-label": t.journey(layer.layer) }, ...tokens);
}
function evenness() {
  const columns = [[t.entropy, (layer) => layer.load_entropy.toFixed(3)], [t.imbalance, (layer) => layer.imbalance.toFixed(2)],
    [t.idle, (layer) => String(layer.idle_experts)], [t.router, (layer) => layer.router_entropy.toFixed(3)], [t.aux, (layer) => layer.aux_loss.toFixed(3)]];
  return make("table", { class: "numbers wide" },
    make("thead", {}, make("tr", {}, make("th", { scope: "col" }, t.layer), ...columns.map(([name]) => make("th", { class: "n", scope: "col" }, name)))),
    make("tbody", {}, ...routing.map((layer) => make("tr", {}, make("th", { scope: "row" }, String(layer.layer)),
      ...columns.map(([, value]) => make("td", { class: "n" }, value(layer)))))));
}
function expertsOfToken(token) {
  return make("table", {}, make("tbody", {}, ...routing.map((layer) => make("tr", {}, make("th", { scope: "row" }, `${t.layer} ${layer.layer}`),
    make("td", {}, ...choices(layer, token).map(([expert, weight]) => chip("E" + expert, weight)))))));
}
function drawExperts() {
  const body = byId("experts-body");
  if (byId("experts").hidden) return;
  const nExperts = data.model.experts;
  const readout = make("div", { class: "readout" }), path = make("div", {});
  const ofToken = routing.map((layer) => new Map(choices(layer, state.token)));
  const most = routing.map((layer) => Math.max(1, ...layer.load));
  const all = state.mode === "all";
  function readText(row, expert) {
    const where = `${t.layer} ${routing[row].layer}${t.comma}${t.expert} ${expert}${t.colon}`;
    return where + (all ? t.tokensHere(routing[row].load[expert]) : `${t.weight} ${percent(ofToken[row].get(expert) || 0)}`);
  }
  function show(row, expert) {
    state.heat = [row, expert];
    const layer = routing[row], guests = visitors(layer, expert), shown = 60;
    readout.replaceChildren(make("h3", {}, `${t.layer} ${layer.layer}${t.comma}${t.expert} ${expert}${t.colon}${t.tokensHere(guests.length)}`),
      make("div", {}, ...guests.slice(0, shown).map(([token, weight]) => chip(tokenText(token), weight)), guests.length > shown ? "…" : ""));
    path.replaceChildren(make("h3", {}, t.journey(layer.layer)), journey(layer, expert), make("p", { class: "quiet" }, t.journeyHelp(expert)));
  }
  const map = heatMap({
    rows: routing.length, columns: nExperts, label: t.heatHelp, at: state.heat, cell: nExperts > 16 ? 26 : 48, minimum: 8, rowName: (row) => routing[row].layer,
    share: (row, expert) => (all ? routing[row].load[expert] / most[row] : ofToken[row].get(expert) || 0),
    choose: show, read: readText,
  });
  const mode = (name, text) => make("button", { type: "button", "aria-pressed": String(state.mode === name),
    onclick: () => { state.mode = name; drawExperts(); } }, text);
  const token = quoted(tokenText(state.token));
  const scroller = make("div", { class: "scroll tall" }, map);
  body.replaceChildren(
    make("div", { class: "bar-row" }, make("span", { class: "segment", role: "group" }, mode("all", t.allTokens), mode("one", `${t.oneToken} ${state.token} ${token}`)), legend()),
    make("div", { class: "beside" }, scroller, readout), path,
    make("div", { class: "split" },
      make("div", {}, make("h3", {}, `${t.chosen} ${state.token} ${token}`), make("div", { class: "scroll tall" }, expertsOfToken(state.token))),
      make("div", {}, make("h3", {}, t.perLayer), make("div", { class: "scroll tall" }, evenness()), make("p", { class: "quiet" }, t.evenHelp))));
  show(...state.heat);
  scroller.scrollLeft = Math.max(0, map.clientWidth * (state.heat[1] + 0.5) / nExperts - scroller.clientWidth / 2);
}
