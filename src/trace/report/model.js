// The model as a diagram: the residual stream runs down on the left, blocks read it and add to it. Each
// block opens to its steps, each step to its tensors with their numbers.

// A tensor as the report carries it (taps_json in report.cpp).
const tap = ([name, shape, dtype, mean, std, min, max, rms, nan, inf, sample]) => ({ name, shape, dtype, mean, std, min, max, rms, nan, inf, sample });
const taps = (data.taps || []).map(tap);
const byName = new Map(taps.map((one) => [one.name, one]));

function tensorTable(list, prefix) {
  const columns = [["mean", t.mean], ["std", t.std], ["min", t.min], ["max", t.max], ["rms", t.rms]];
  const bad = (one) => one.nan + one.inf > 0;
  return make("div", { class: "scroll" }, make("table", { class: "numbers" },
    make("thead", {}, make("tr", {}, make("th", { scope: "col" }, t.name), make("th", { scope: "col" }, t.shape),
      ...columns.map(([, name]) => make("th", { class: "n", scope: "col" }, name)), make("th", { scope: "col" }, t.sample))),
    make("tbody", {}, ...list.map((one) => make("tr", {},
      make("th", { scope: "row", class: bad(one) ? "bad" : "", title: one.name }, one.name.slice(prefix.length) + (bad(one) ? ` NaN ${one.nan} Inf ${one.inf}` : "")),
      make("td", { class: "whole" }, `[${one.shape.join(", ")}] ${one.dtype}`),
      ...columns.map(([key]) => make("td", { class: "n" }, number(one[key]))),
      make("td", {}, one.sample.map(number).join(", ")))))));
}
// A block whose inside is made when it is first opened.
function block(name, note, inside, meter) {
  const element = make("details", {}, make("summary", {}, make("span", { class: "block-name" }, name), make("span", { class: "quiet" }, note), meter || null));
  element.addEventListener("toggle", () => {
    if (element.open && element.children.length === 1) element.append(make("div", { class: "inside" }, inside()));
  });
  return element;
}
// Blocks one under the other, with an arrow between them.
function chain(blocks) {
  return make("div", { class: "chain" }, ...blocks.flatMap((one, i) => (i === 0 ? [one] : [make("div", { class: "arrow", "aria-hidden": "true" }, "↓"), one])));
}
// `results`: how many of the parts, from the end, the formula's left side names.
function step(prefix, name, formula, parts, results = 1) {
  const list = parts.map((part) => byName.get(prefix + part)).filter((one) => one);
  const shapes = [...new Set(list.slice(-results).map((one) => `[${one.shape.join(", ")}]`))].join(" ");
  return list.length === 0 ? null : block(name, make("span", { class: "mono" }, `${formula}  ${shapes}`), () => tensorTable(list, prefix));
}
// Where a block's result joins the residual stream; the bar is the stream's size there.
function join(prefix, part, largest) {
  const after = byName.get(prefix + part);
  if (!after) return null;
  return make("div", { class: "join" }, make("span", { class: "plus", "aria-hidden": "true" }, "+"),
    make("span", { class: "mono quiet" }, `${part}  [${after.shape.join(", ")}]`), sizeOf(after, largest),
    make("details", { class: "bare" }, make("summary", {}, t.numbers), tensorTable([after], prefix)));
}
function sizeOf(one, largest) {
  const text = `${t.residual} ${number(one.rms)}`;
  return make("span", { class: "meter", role: "img", "aria-label": text, title: text }, make("i", { style: `width:${Math.round(one.rms / largest * 100)}%` }));
}
function attentionSteps(prefix) {
  const rotate = data.model.qk_norm_after_rope ? "q, k = RMSNorm(RoPE(q, k))" : "q, k = RoPE(RMSNorm(q, k))";
  return [
    step(prefix, t.steps.norm, "h = RMSNorm(x)", ["input_layernorm"]),
    step(prefix, t.steps.project, "q, k, v = Wq·h, Wk·h, Wv·h", ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"], 3),
    step(prefix, t.steps.rotate, rotate, ["q_norm", "k_norm", "q_rope", "k_rope"].map((part) => "self_attn." + part), 2),
    step(prefix, t.steps.look, "softmax(q·kᵀ/√d)·v", ["self_attn.probs", "self_attn.mix"]),
    step(prefix, t.steps.output, "Wo·mix", ["self_attn.o_proj"])];
}
function denseSteps(prefix) {
  return [
    step(prefix, t.steps.norm, "h = RMSNorm(x)", ["post_attention_layernorm"]),
    step(prefix, t.steps.gate, "Wgate·h, Wup·h", ["mlp.gate_proj", "mlp.up_proj"], 2),
    step(prefix, t.steps.activate, "silu(gate)·up", ["mlp.act"]),
    step(prefix, t.steps.output, "Wdown·act", ["mlp.down_proj"])];
}
function expertSteps(prefix) {
  const inside = taps.filter((one) => one.name.startsWith(prefix + "mlp.experts."));
  const ids = [...new Set(inside.map((one) => Number(one.name.split(".")[4])))];
  const one = (id) => {
    const name = `${prefix}mlp.experts.${id}`, list = inside.filter((each) => each.name === name || each.name.startsWith(name + "."));
    return block(`E${id}`, t.tokensHere(list[0].shape[0]), () => tensorTable(list, prefix + "mlp.experts."));
  };
  return [
    step(prefix, t.steps.norm, "h = RMSNorm(x)", ["post_attention_layernorm"]),
    step(prefix, t.steps.router, `softmax(Wrouter·h) → top ${data.model.top_k}`, ["mlp.router_logits", "mlp.routing_weights", "mlp.selected_experts"]),
    ids.length ? block(t.expertBlock, t.steps.visited(ids.length, data.model.experts), () => make("div", { class: "fan" }, ...ids.map(one)))
      : make("p", { class: "quiet" }, data.expert_taps_left_out > 0 ? t.steps.expertsLeftOut(data.expert_taps_left_out) : t.none),
    step(prefix, t.steps.sum, "Σ weight · expert(h)", ["mlp.output"])];
}
function layerInside(layer, largest) {
  const prefix = `layers.${layer}.`, m = data.model, sparse = m.sparse[layer];
  const inside = (steps) => chain(steps.filter((one) => one));
  return make("div", { class: "stream" }, ...[
    block(t.attentionBlock, t.headsNote(m.heads, m.kv_heads, m.head_dim), () => inside(attentionSteps(prefix))),
    join(prefix, "attn_residual", largest),
    sparse ? block(t.expertBlock, t.expertsNote(m.top_k, m.experts, m.moe_intermediate_size), () => inside(expertSteps(prefix)))
      : block(t.denseBlock, `${m.hidden_size} → ${m.intermediate_size} → ${m.hidden_size}`, () => inside(denseSteps(prefix))),
    join(prefix, "output", largest)].filter((one) => one));
}
function drawModel() {
  const body = byId("model-body");
  if (taps.length === 0) { body.replaceChildren(make("p", { class: "quiet" }, t.none)); return; }
  const m = data.model;
  const after = Array.from({ length: m.layers }, (_, layer) => byName.get(`layers.${layer}.output`));
  const largest = Math.max(1e-30, ...taps.filter((one) => /\.(output|attn_residual)$/.test(one.name)).map((one) => one.rms));
  const some = (...names) => names.map((name) => byName.get(name)).filter((one) => one);
  body.replaceChildren(make("div", { class: "stream" },
    block(t.embedding, `${m.vocab_size} → ${m.hidden_size}`, () => tensorTable(some("embed_tokens", "rotary_cos", "rotary_sin"), "")),
    ...after.map((one, layer) => block(`${t.layer} ${layer}`, m.sparse[layer] ? t.sparse : t.dense, () => layerInside(layer, largest), one ? sizeOf(one, largest) : null)),
    block(t.head2, `${m.hidden_size} → ${m.vocab_size}`, () => tensorTable(some("norm", "logits"), ""))));
}
