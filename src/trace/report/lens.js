// The logit lens: what the model would say after each layer.
// From which layer on the final answer stays first.
function settledAt(layers, row) {
  const answer = layers[layers.length - 1][row][0][0];
  let layer = layers.length - 1;
  while (layer > 0 && layers[layer - 1][row][0][0] === answer) --layer;
  return layer;
}
function drawLens() {
  const body = byId("lens-body");
  if (byId("lens").hidden) return;
  const { layers, first_row: first } = data.lens;
  const nRows = layers[0].length;
  const row = Math.max(0, state.token - first);
  const position = first + row;
  const settled = layers[0].map((_, r) => settledAt(layers, r));
  const answer = layers[layers.length - 1][row][0];
  const sentence = settled[row] === layers.length - 1 && layers.length > 1
    ? t.answerLate(quoted(nameOf(answer[0])), quoted(tokenText(position)))
    : t.answer(quoted(nameOf(answer[0])), quoted(tokenText(position)), settled[row]);
  const heads = layers[0].map((_, r) => make("th", { scope: "col", class: "cell" + (r === row ? " here" : "") + (first + r < data.n_prompt ? "" : " generated") }, tokenText(first + r)));
  const grid = make("table", { class: "grid" }, make("thead", {}, make("tr", {}, make("th", { scope: "col" }, t.layer), ...heads)),
    make("tbody", {}, ...layers.map((rows, layer) => make("tr", {}, make("th", { scope: "row" }, String(layer)),
      ...rows.map((best, r) => make("td", {
        class: "cell" + (layer >= settled[r] ? " kept" : ""), style: shaded(best[0][1]),
        title: best.map(([id, p]) => `${nameOf(id)} ${percent(p)}`).join("\n"), onclick: () => chooseToken(first + r),
      }, nameOf(best[0][0])))))));
  const detail = make("table", {}, make("thead", {}, make("tr", {}, make("th", { scope: "col" }, t.layer), make("th", { scope: "col" }, t.top))),
    make("tbody", {}, ...layers.map((rows, layer) => make("tr", {}, make("th", { scope: "row" }, String(layer)),
      make("td", {}, ...rows[row].map(([id, p]) => make("span", { class: "chip mono", style: shaded(p) }, nameOf(id), make("b", {}, percent(p)))))))));
  const scroller = make("div", { class: "scroll tall" }, grid);
  body.replaceChildren(make("p", { class: "answer" }, sentence), scroller,
    make("div", { class: "bar-row" }, legend(), nRows < nTokens ? make("span", { class: "quiet" }, t.lensPart(nRows)) : null),
    make("h3", {}, t.topAfter(position, quoted(tokenText(position)))), make("div", { class: "scroll tall" }, detail));
  const here = heads[row];
  scroller.scrollTop = scroller.scrollHeight;  // the answer lives in the last layers
  scroller.scrollLeft = Math.max(0, here.offsetLeft - scroller.clientWidth / 2);
}
