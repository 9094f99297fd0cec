// Attention: how widely each head looks, and at what.
const attention = data.attention || [];
// The heads with the lowest entropy among those that look neither at themselves nor at the first token.
function focusedHeads(n) {
  return attention.flatMap((layer, l) => layer.heads.map((head, h) => [l, h, head])).filter(([, , head]) => head.self < 0.5 && head.first < 0.5)
    .sort((a, b) => a[2].entropy - b[2].entropy).slice(0, n).map(([layer, head]) => [layer, head]);
}
const maps = new Map();
function mapOf(layer) {
  if (!maps.has(layer)) maps.set(layer, attention[layer].map ? bytesOf(attention[layer].map) : null);
  return maps.get(layer);
}
function drawAttention() {
  const body = byId("attention-body");
  if (byId("attention").hidden) return;
  const nHeads = attention[0].heads.length;
  const widest = Math.log(Math.max(2, nTokens));
  const panel = make("div", { class: "readout" });
  function show(layer, head) {
    state.head = [layer, head];
    const summary = attention[layer].heads[head];
    const facts = make("div", { class: "facts" }, ...[[t.entropy, summary.entropy.toFixed(2)], [t.self, percent(summary.self)],
      [t.first, percent(summary.first)], [t.distance, summary.distance.toFixed(1)]].map(([name, value]) => make("span", {}, name + " ", make("b", {}, value))));
    const parts = [make("h3", {}, `${t.layer} ${attention[layer].layer}${t.comma}${t.head} ${head}`), facts];
    const bytes = mapOf(layer);
    if (bytes) {
      const base = head * nTokens * nTokens;
      const row = Array.from({ length: state.token + 1 }, (_, j) => bytes[base + state.token * nTokens + j] / 255);
      parts.push(make("h3", {}, t.looksAt(state.token, quoted(tokenText(state.token)))),
        make("div", { class: "tokens" }, ...row.map((p, j) => make("span", { class: "token", style: shaded(p), title: percent(p) }, tokenText(j)))),
        make("p", { class: "quiet" }, t.mapHelp),
        make("div", { class: "scroll tall" }, heatMap({
          rows: nTokens, columns: nTokens, rowName: (i) => tokenText(i), names: true, label: `${t.attention}. ${t.mapHelp}`, at: [state.token, 0], cell: 16, minimum: 5,
          share: (i, j) => (j > i ? null : bytes[base + i * nTokens + j] / 255), choose: () => {},
          read: (i, j) => `${tokenText(i)} → ${tokenText(j)}: ${j > i ? "0 %" : percent(bytes[base + i * nTokens + j] / 255)}`,
        })));
    } else {
      parts.push(make("p", { class: "quiet" }, t.noMaps), make("h3", {}, t.attended),
        make("div", {}, ...summary.top.map(([position, p]) => make("span", { class: "chip mono", style: shaded(p) }, `${tokenText(position)} (${position})`, make("b", {}, percent(p))))));
    }
    panel.replaceChildren(...parts);
  }
  const grid = heatMap({
    rows: attention.length, columns: nHeads, label: `${t.attention}${t.colon}${t.layer} × ${t.head}, ${t.entropy}`, at: state.head, cell: nHeads > 16 ? 26 : 40, minimum: 8,
    share: (layer, head) => attention[layer].heads[head].entropy / widest, choose: (layer, head) => { show(layer, head); keepInAddress({ layer, head }); },
    read: (layer, head) => `${t.layer} ${attention[layer].layer}${t.comma}${t.head} ${head}${t.colon}${t.entropy} ${attention[layer].heads[head].entropy.toFixed(2)}`,
  });
  const focused = focusedHeads(5).map(([layer, head]) => make("button", { type: "button", onclick: () => { state.head = [layer, head]; keepInAddress({ layer, head }); drawAttention(); } },
    `${t.layer} ${attention[layer].layer}${t.comma}${t.head} ${head}`));
  body.replaceChildren(make("div", { class: "bar-row" }, legend(), focused.length ? make("span", { class: "quiet" }, t.focused) : null, ...focused), make("div", { class: "beside" }, make("div", { class: "scroll" }, grid), panel));
  show(...state.head);
}
