"use strict";
// Draws the report from the JSON in #data. All text goes in as text nodes: nothing of the data is
// ever read as markup.
const data = JSON.parse(document.getElementById("data").textContent);

const words = {
  en: {
    skip: "Skip to the report", title: "What happened inside", switchTo: "中文", light: "Light", dark: "Dark",
    prompt: "The prompt", promptLead: "Choose a token; the sections below follow it. Arrow keys move the choice.",
    experts: "Experts", expertsLead: "In a sparse layer a router sends every token to a few experts. Rows are layers, columns are experts; a darker cell did more.",
    lens: "Logit lens", lensLead: "What the model would say next if it stopped after each layer: the residual stream through the final norm and the head. Columns are tokens, rows are layers; underlined from the layer where the final answer stays.",
    attention: "Attention", attentionLead: "What each head looks at. The grid shows how widely a head spreads its attention (entropy); choose a cell to see its map.",
    model: "The model, block by block", modelLead: "Open a block to see the tensors that passed through it: shape and numbers as measured in this run.",
    time: "Time", timeLead: "Time per operation of the same pass without tracing. Bytes that must move at least once, and multiplications and additions, over the time taken.",
    nav: "Contents", noExperts: "This model is dense: it has no experts.", none: "Not recorded in this run.",
    allTokens: "All tokens", oneToken: "Chosen token", layer: "layer", expert: "expert", head: "head", token: "token",
    tokensHere: (n) => n + (n === 1 ? " token" : " tokens"), weight: "weight", few: "little", much: "much",
    chosen: "Experts of the chosen token", perLayer: "How even is the load?", load: "load", entropy: "entropy", imbalance: "imbalance", idle: "idle", router: "router entropy", aux: "aux. loss",
    evenHelp: "Entropy 1 is perfectly even. Imbalance is the largest load over the mean: 1 is even.",
    heatHelp: "Heat map of experts; arrow keys move, the text below reads the cell",
    answer: (said, from, layer) => `After ${from} the model says ${said}. It is first on the list for good from layer ${layer}.`,
    answerLate: (said, from) => `After ${from} the model says ${said}; it came first only after the last layer.`,
    top: "most probable", lensPart: (n) => `Only the last ${n} tokens were looked at.`,
    noMaps: "The prompt is too long for full maps; the table shows what the last token attends to.",
    looksAt: "What the chosen token looks at", mapHelp: "Rows are the looking token, columns what it looks at.",
    self: "itself", first: "first token", distance: "mean distance", attended: "the last token attends to",
    name: "tensor", shape: "shape", mean: "mean", std: "std", min: "min", max: "max", rms: "rms", sample: "first values",
    embedding: "Embedding", attentionBlock: "Attention", denseBlock: "Feed-forward", expertBlock: "Experts", head2: "Final norm and head", sparse: "sparse", dense: "dense", residual: "size of the residual stream (rms)",
    op: "operation", calls: "calls", ms: "ms", share: "share", gbs: "GB/s", gflops: "GFLOP/s", total: (s, n) => `${s} ms for ${n} tokens`,
    finite: "All tensors are finite.", notFinite: (n) => `Not finite: ${n}`,
    layers: "layers", hidden: "hidden size", heads: "heads", kv: "key/value heads", vocab: "vocabulary", topK: "experts per token", expertCount: "experts", tokenCount: "tokens", position: "position",
  },
  zh: {
    skip: "跳到报告正文", title: "模型内部发生了什么", switchTo: "English", light: "浅色", dark: "深色",
    prompt: "输入", promptLead: "选择一个 token，下面各节会随之变化。可用方向键移动。",
    experts: "专家", expertsLead: "在稀疏层中，路由器把每个 token 送到少数几个专家。行是层，列是专家；颜色越深，处理得越多。",
    lens: "逐层预测（logit lens）", lensLead: "如果在每一层之后就停下，模型会预测什么：残差流经过最终归一化和语言模型头。列是 token，行是层；从最终答案稳定下来的那一层起加下划线。",
    attention: "注意力", attentionLead: "每个注意力头在看什么。网格显示注意力的分散程度（熵）；选择一格查看它的注意力图。",
    model: "逐块展开模型", modelLead: "展开一个模块，查看流过它的张量：形状和本次运行测得的数值。",
    time: "时间", timeLead: "同一次前向计算在不追踪时每种算子的时间。字节数为至少要搬运一次的数据，运算为乘法与加法。",
    nav: "目录", noExperts: "这是稠密模型，没有专家。", none: "本次运行没有记录。",
    allTokens: "全部 token", oneToken: "所选 token", layer: "层", expert: "专家", head: "头", token: "token",
    tokensHere: (n) => n + " 个 token", weight: "权重", few: "少", much: "多",
    chosen: "所选 token 的专家", perLayer: "负载是否均衡？", load: "负载", entropy: "熵", imbalance: "不均衡度", idle: "空闲", router: "路由熵", aux: "辅助损失",
    evenHelp: "熵为 1 表示完全均衡。不均衡度是最大负载与平均值之比，1 为均衡。",
    heatHelp: "专家热力图；用方向键移动，下方文字读出该格",
    answer: (said, from, layer) => `在 ${from} 之后模型给出 ${said}。从第 ${layer} 层起它一直排在第一。`,
    answerLate: (said, from) => `在 ${from} 之后模型给出 ${said}；它直到最后一层才排到第一。`,
    top: "最可能", lensPart: (n) => `只查看了最后 ${n} 个 token。`,
    noMaps: "输入太长，无法保存完整的注意力图；表中是最后一个 token 所关注的位置。",
    looksAt: "所选 token 在看什么", mapHelp: "行是正在看的 token，列是被看的 token。",
    self: "自身", first: "第一个 token", distance: "平均距离", attended: "最后一个 token 关注",
    name: "张量", shape: "形状", mean: "均值", std: "标准差", min: "最小", max: "最大", rms: "均方根", sample: "前几个值",
    embedding: "词嵌入", attentionBlock: "注意力", denseBlock: "前馈网络", expertBlock: "专家网络", head2: "最终归一化与语言模型头", sparse: "稀疏", dense: "稠密", residual: "残差流的大小（均方根）",
    op: "算子", calls: "次数", ms: "毫秒", share: "占比", gbs: "GB/s", gflops: "GFLOP/s", total: (s, n) => `${n} 个 token 共 ${s} 毫秒`,
    finite: "所有张量都是有限数。", notFinite: (n) => `含非有限数：${n}`,
    layers: "层数", hidden: "隐藏维度", heads: "头数", kv: "键值头数", vocab: "词表", topK: "每 token 专家数", expertCount: "专家数", tokenCount: "token 数", position: "位置",
  },
};

const state = { lang: data.lang === "zh" ? "zh" : "en", token: data.tokens.length - 1, mode: "all",
  heat: [0, 0], head: [0, 0] };
let t = words[state.lang];
const nTokens = data.tokens.length;
const named = new Map([...data.tokens, ...data.named]);
const byId = (id) => document.getElementById(id);

// ---- small tools ---------------------------------------------------------------------------------
function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key === "class") element.className = value;
    else if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}
function visible(text) {
  if (text === "") return "∅";
  return text.replace(/\r?\n/g, "⏎").replace(/\t/g, "⇥").replace(/^ | $/g, "␣")
    .replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2066-\u2069]/g, "�");
}
const tokenText = (index) => visible(data.tokens[index][1]);
const nameOf = (id) => visible(named.has(id) ? named.get(id) : "#" + id);
const quoted = (text) => (state.lang === "zh" ? `「${text}」` : `“${text}”`);
const number = (value) => (value === null ? "–" : Math.abs(value) >= 1e4 || (value !== 0 && Math.abs(value) < 1e-3)
  ? value.toExponential(2) : String(Math.round(value * 1e4) / 1e4));
const percent = (value) => (value * 100).toFixed(value < 0.0995 ? 1 : 0) + " %";
function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; ++i) bytes[i] = text.charCodeAt(i);
  return bytes;
}
function say(text) { byId("live").textContent = text; }

function rgb(name) {
  const hex = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
}
let ramp = { low: [0, 0, 0], high: [0, 0, 0], mark: "#000", quiet: "#000" };
function readRamp() {
  const style = getComputedStyle(document.documentElement);
  ramp = { low: rgb("--ramp-low"), high: rgb("--ramp-high"),
    mark: style.getPropertyValue("--mark").trim(), quiet: style.getPropertyValue("--quiet").trim() };
}
function mixed(share) {
  const s = Math.max(0, Math.min(1, share));
  return ramp.low.map((low, i) => Math.round(low + (ramp.high[i] - low) * s));
}
const colour = (share) => `rgb(${mixed(share).join(",")})`;
// Black or white, whichever reads better on that colour (relative luminance of WCAG 2).
function inkOn(share) {
  const [r, g, b] = mixed(share).map((c) => (c / 255 <= 0.03928 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.18 ? "#0c1218" : "#ffffff";
}
const shaded = (share) => `background:${colour(share)};color:${inkOn(share)}`;

function legend() { return make("span", { class: "legend" }, t.few, make("i", { "aria-hidden": "true" }), t.much); }

// A grid of cells on a canvas, driven by mouse and arrow keys, with numbered rows and columns.
// `read(row, column)` gives the text of a cell, `choose` is told of every move.
function heatMap({ rows, columns, share, label, at, choose, read, cell, minimum, rowName }) {
  const size = Math.max(minimum || 4, Math.min(cell || 18, Math.floor(1080 / columns)));
  const left = 34, top = 18;  // room for the numbers
  const ratio = window.devicePixelRatio || 1;
  const canvas = make("canvas", { tabindex: "0", role: "img", "aria-label": label });
  canvas.width = (left + columns * size) * ratio;
  canvas.height = (top + rows * size) * ratio;
  canvas.style.width = left + columns * size + "px";
  canvas.style.height = top + rows * size + "px";
  const context = canvas.getContext("2d");
  const gap = size >= 8 ? 1 : 0;
  let [row, column] = at;
  function draw() {
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, left + columns * size, top + rows * size);
    context.fillStyle = ramp.quiet;
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    context.textAlign = "right";
    const rowStep = Math.ceil(13 / size), columnStep = Math.ceil(26 / size);
    for (let r = 0; r < rows; r += rowStep) context.fillText(String(rowName ? rowName(r) : r), left - 6, top + (r + 0.5) * size);
    context.textAlign = "center";
    for (let c = 0; c < columns; c += columnStep) context.fillText(String(c), left + (c + 0.5) * size, 8);
    for (let r = 0; r < rows; ++r) {
      for (let c = 0; c < columns; ++c) {
        const s = share(r, c);
        if (s === null) continue;
        context.fillStyle = colour(s);
        context.fillRect(left + c * size, top + r * size, size - gap, size - gap);
      }
    }
    context.strokeStyle = ramp.mark;
    context.lineWidth = 2;
    context.strokeRect(left + column * size + 1, top + row * size + 1, size - 2, size - 2);
  }
  function move(r, c, aloud) {
    row = Math.max(0, Math.min(rows - 1, r));
    column = Math.max(0, Math.min(columns - 1, c));
    draw();
    choose(row, column);
    if (aloud) say(read(row, column));
  }
  function cellAt(event) {
    const box = canvas.getBoundingClientRect();
    const inside = (value, n) => Math.max(0, Math.min(n - 1, Math.floor(value / size)));
    return [inside(event.clientY - box.top - top, rows), inside(event.clientX - box.left - left, columns)];
  }
  canvas.addEventListener("click", (event) => move(...cellAt(event), false));
  canvas.addEventListener("mousemove", (event) => { canvas.title = read(...cellAt(event)); });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    move(row + step[0], column + step[1], true);
  });
  draw();
  return canvas;
}

// ---- prompt --------------------------------------------------------------------------------------
function drawPrompt() {
  const box = byId("tokens");
  box.replaceChildren(...data.tokens.map(([id], index) => make("button", {
    type: "button", class: "token", role: "radio", "aria-checked": String(index === state.token),
    tabindex: index === state.token ? "0" : "-1", title: `${t.position} ${index}, id ${id}`,
    onclick: () => chooseToken(index),
  }, tokenText(index))));
  const m = data.model;
  const facts = [[t.layers, m.layers], [t.hidden, m.hidden_size], [t.heads, m.heads], [t.kv, m.kv_heads],
    ...(m.moe ? [[t.expertCount, m.experts], [t.topK, m.top_k]] : []), [t.vocab, m.vocab_size], [t.tokenCount, nTokens]];
  const bad = (data.taps || []).filter((tap) => tap[8] + tap[9] > 0);
  byId("facts").replaceChildren(...facts.map(([name, value]) => make("span", {}, name + " ", make("b", {}, String(value)))),
    data.taps ? make("span", { class: bad.length ? "bad" : "" }, bad.length ? t.notFinite(bad[0][0]) : t.finite) : "");
}
byId("tokens").addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
  const jump = { Home: 0, End: nTokens - 1 }[event.key];
  if (step === undefined && jump === undefined) return;
  event.preventDefault();
  chooseToken(jump !== undefined ? jump : Math.max(0, Math.min(nTokens - 1, state.token + step)));
  byId("tokens").children[state.token].focus();
});
function chooseToken(index) {
  const buttons = byId("tokens").children;
  buttons[state.token].setAttribute("aria-checked", "false");
  buttons[state.token].tabIndex = -1;
  state.token = index;
  buttons[index].setAttribute("aria-checked", "true");
  buttons[index].tabIndex = 0;
  drawExperts(); drawLens(); drawAttention();
}

// ---- experts -------------------------------------------------------------------------------------
const routing = (data.routing || []).map((layer) => {
  const bytes = bytesOf(layer.experts);
  return { ...layer, ids: new Uint16Array(bytes.buffer, 0, bytes.length / 2), shares: bytesOf(layer.weights) };
});
function choices(layer, token) {
  const list = [];
  for (let k = 0; k < layer.top_k; ++k) {
    const at = token * layer.top_k + k;
    list.push([layer.ids[at], layer.shares[at] / 255]);
  }
  return list;
}
function visitors(layer, expert) {
  const list = [];
  for (let at = 0; at < layer.ids.length; ++at) {
    if (layer.ids[at] === expert) list.push([Math.floor(at / layer.top_k), layer.shares[at] / 255]);
  }
  return list;
}
function drawExperts() {
  const body = byId("experts-body");
  if (!data.model.moe || routing.length === 0) {
    body.replaceChildren(make("p", { class: "quiet" }, data.model.moe ? t.none : t.noExperts));
    return;
  }
  const n = data.model.experts;
  const readout = make("div", { class: "readout" });
  const ofToken = routing.map((layer) => new Map(choices(layer, state.token)));
  const most = routing.map((layer) => Math.max(1, ...layer.load));
  const all = state.mode === "all";
  function readText(row, expert) {
    const layer = routing[row];
    const where = `${t.layer} ${layer.layer}, ${t.expert} ${expert}: `;
    return where + (all ? t.tokensHere(layer.load[expert]) : `${t.weight} ${percent(ofToken[row].get(expert) || 0)}`);
  }
  function show(row, expert) {
    state.heat = [row, expert];
    const layer = routing[row];
    const guests = visitors(layer, expert);
    const chips = guests.slice(0, 60).map(([token, weight]) =>
      make("span", { class: "chip mono", style: shaded(weight) }, tokenText(token), make("b", {}, percent(weight))));
    readout.replaceChildren(make("div", {}, make("b", {}, `${t.layer} ${layer.layer}, ${t.expert} ${expert}`), " · ", t.tokensHere(guests.length)),
      make("div", {}, ...chips, guests.length > 60 ? "…" : ""));
  }
  const map = heatMap({
    rows: routing.length, columns: n, label: t.heatHelp, at: state.heat, cell: 26, minimum: 8, rowName: (row) => routing[row].layer,
    share: (row, expert) => (all ? routing[row].load[expert] / most[row] : ofToken[row].get(expert) || 0),
    choose: show, read: readText,
  });
  const mode = (name, text) => make("button", { type: "button", "aria-pressed": String(state.mode === name),
    onclick: () => { state.mode = name; drawExperts(); } }, text);
  const chosen = make("table", {}, make("tbody", {}, ...routing.map((layer) => make("tr", {},
    make("th", { scope: "row" }, `${t.layer} ${layer.layer}`),
    make("td", {}, ...choices(layer, state.token).map(([expert, weight]) =>
      make("span", { class: "chip mono", style: shaded(weight) }, "E" + expert, make("b", {}, percent(weight)))))))));
  const even = make("table", { class: "numbers" },
    make("thead", {}, make("tr", {}, make("th", { scope: "col" }, t.layer),
      ...[t.entropy, t.imbalance, t.idle, t.router, t.aux].map((name) => make("th", { class: "n", scope: "col" }, name)))),
    make("tbody", {}, ...routing.map((layer) => make("tr", {}, make("th", { scope: "row" }, String(layer.layer)),
      ...[layer.load_entropy.toFixed(3), layer.imbalance.toFixed(2), String(layer.idle_experts), layer.router_entropy.toFixed(3), layer.aux_loss.toFixed(3)]
        .map((value) => make("td", { class: "n" }, value))))));
  body.replaceChildren(
    make("div", { class: "bar-row" }, make("span", { class: "segment", role: "group" }, mode("all", t.allTokens), mode("one", `${t.oneToken} ${quoted(tokenText(state.token))}`)), legend()),
    make("div", { class: "scroll tall" }, map), readout,
    make("div", { class: "split" },
      make("div", {}, make("h3", {}, `${t.chosen} ${quoted(tokenText(state.token))}`), make("div", { class: "scroll tall" }, chosen)),
      make("div", {}, make("h3", {}, t.perLayer), make("div", { class: "scroll tall" }, even), make("p", { class: "quiet" }, t.evenHelp))));
  show(...state.heat);
}

// ---- logit lens ----------------------------------------------------------------------------------
// From which layer on the final answer stays first.
function settledAt(layers, row) {
  const answer = layers[layers.length - 1][row][0][0];
  let layer = layers.length - 1;
  while (layer > 0 && layers[layer - 1][row][0][0] === answer) --layer;
  return layer;
}
function drawLens() {
  const body = byId("lens-body");
  if (!data.lens || data.lens.layers.length === 0) { body.replaceChildren(make("p", { class: "quiet" }, t.none)); return; }
  const { layers, first_row: first } = data.lens;
  const nRows = layers[0].length;
  const row = Math.max(0, state.token - first);
  const position = first + row;
  const settled = layers[0].map((_, r) => settledAt(layers, r));
  const answer = layers[layers.length - 1][row][0];
  const sentence = settled[row] === layers.length - 1 && layers.length > 1
    ? t.answerLate(quoted(nameOf(answer[0])), quoted(tokenText(position)))
    : t.answer(quoted(nameOf(answer[0])), quoted(tokenText(position)), settled[row]);
  const heads = layers[0].map((_, r) => make("th", { scope: "col", class: "cell" + (r === row ? " here" : "") }, tokenText(first + r)));
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
    make("h3", {}, `${t.top}: ${quoted(tokenText(position))}`), make("div", { class: "scroll tall" }, detail));
  const here = heads[row];
  scroller.scrollLeft = Math.max(0, here.offsetLeft - scroller.clientWidth / 2);
}

// ---- attention -----------------------------------------------------------------------------------
const attention = data.attention || [];
const maps = new Map();
function mapOf(layer) {
  if (!maps.has(layer)) maps.set(layer, attention[layer].map ? bytesOf(attention[layer].map) : null);
  return maps.get(layer);
}
function drawAttention() {
  const body = byId("attention-body");
  if (attention.length === 0) { body.replaceChildren(make("p", { class: "quiet" }, t.none)); return; }
  const nHeads = attention[0].heads.length;
  const widest = Math.log(Math.max(2, nTokens));
  const panel = make("div", {});
  function show(layer, head) {
    state.head = [layer, head];
    const summary = attention[layer].heads[head];
    const facts = make("div", { class: "facts" }, ...[[t.entropy, summary.entropy.toFixed(2)], [t.self, percent(summary.self)],
      [t.first, percent(summary.first)], [t.distance, summary.distance.toFixed(1)]].map(([name, value]) => make("span", {}, name + " ", make("b", {}, value))));
    const parts = [make("h3", {}, `${t.layer} ${attention[layer].layer}, ${t.head} ${head}`), facts];
    const bytes = mapOf(layer);
    if (bytes) {
      const base = head * nTokens * nTokens;
      const row = Array.from({ length: state.token + 1 }, (_, j) => bytes[base + state.token * nTokens + j] / 255);
      parts.push(make("h3", {}, `${t.looksAt} ${quoted(tokenText(state.token))}`),
        make("div", { class: "tokens" }, ...row.map((p, j) => make("span", { class: "token", style: shaded(p), title: percent(p) }, tokenText(j)))),
        make("p", { class: "quiet" }, t.mapHelp),
        make("div", { class: "scroll tall" }, heatMap({
          rows: nTokens, columns: nTokens, label: `${t.attention}. ${t.mapHelp}`, at: [state.token, 0], cell: 16, minimum: 5,
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
    rows: attention.length, columns: nHeads, label: `${t.attention}: ${t.layer} × ${t.head}, ${t.entropy}`, at: state.head, cell: 26, minimum: 8,
    share: (layer, head) => attention[layer].heads[head].entropy / widest, choose: show,
    read: (layer, head) => `${t.layer} ${attention[layer].layer}, ${t.head} ${head}: ${t.entropy} ${attention[layer].heads[head].entropy.toFixed(2)}`,
  });
  body.replaceChildren(make("div", { class: "bar-row" }, legend()), make("div", { class: "scroll" }, grid), panel);
  show(...state.head);
}

// ---- the model, block by block -------------------------------------------------------------------
function tensorTable(taps, prefix) {
  const columns = [t.mean, t.std, t.min, t.max, t.rms];
  return make("div", { class: "scroll" }, make("table", { class: "numbers" },
    make("thead", {}, make("tr", {}, make("th", { scope: "col" }, t.name), make("th", { scope: "col" }, t.shape),
      ...columns.map((name) => make("th", { class: "n", scope: "col" }, name)), make("th", { scope: "col" }, t.sample))),
    make("tbody", {}, ...taps.map((tap) => make("tr", {},
      make("th", { scope: "row", class: tap[8] + tap[9] > 0 ? "bad" : "", title: tap[0] }, tap[0].slice(prefix.length) + (tap[8] + tap[9] > 0 ? ` NaN ${tap[8]} Inf ${tap[9]}` : "")),
      make("td", {}, "[" + tap[1].join(", ") + "]"),
      ...tap.slice(3, 8).map((value) => make("td", { class: "n" }, number(value))),
      make("td", {}, tap[10].map(number).join(", ")))))));
}
// A block whose inside is made when it is first opened.
function block(name, note, meter, inside) {
  const element = make("details", {}, make("summary", {}, make("span", { class: "block-name" }, name), make("span", { class: "quiet" }, note),
    meter === null ? null : make("span", { class: "meter", role: "img", "aria-label": `${t.residual} ${number(meter.value)}`, title: `${t.residual} ${number(meter.value)}` },
      make("i", { style: `width:${Math.round(meter.share * 100)}%` }))));
  element.addEventListener("toggle", () => {
    if (element.open && element.children.length === 1) element.append(make("div", { class: "inside" }, inside()));
  });
  return element;
}
function flow(blocks) {
  const box = make("div", { class: "flow" });
  blocks.forEach((one, i) => box.append(...(i === 0 ? [one] : [make("div", { class: "arrow", "aria-hidden": "true" }), one])));
  return box;
}
function drawModel() {
  const body = byId("model-body");
  if (!data.taps) { body.replaceChildren(make("p", { class: "quiet" }, t.none)); return; }
  const groups = new Map();
  for (const tap of data.taps) {
    const match = /^layers\.(\d+)\./.exec(tap[0]);
    const key = match ? Number(match[1]) : tap[0] === "norm" || tap[0] === "logits" ? "head" : "embed";
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(tap);
  }
  const size = (layer) => { const last = groups.get(layer); return last[last.length - 1][7] || 0; };
  const layers = [...groups.keys()].filter((key) => typeof key === "number");
  const largest = Math.max(1e-30, ...layers.map(size));
  const m = data.model;
  const blocks = [block(t.embedding, `[${nTokens}, ${m.hidden_size}]`, null, () => tensorTable(groups.get("embed") || [], ""))];
  for (const layer of layers) {
    const taps = groups.get(layer), prefix = `layers.${layer}.`;
    const sparse = m.sparse[layer];
    const inMlp = (tap) => tap[0].startsWith(prefix + "mlp.") || tap[0] === prefix + "post_attention_layernorm" || tap[0] === prefix + "output";
    blocks.push(block(`${t.layer} ${layer}`, sparse ? t.sparse : t.dense, { value: size(layer), share: size(layer) / largest }, () => flow([
      block(t.attentionBlock, `${m.heads} / ${m.kv_heads} × ${m.head_dim}`, null, () => tensorTable(taps.filter((tap) => !inMlp(tap)), prefix)),
      block(sparse ? t.expertBlock : t.denseBlock, sparse ? `${m.experts}, top ${m.top_k}, ${m.moe_intermediate_size}` : String(m.intermediate_size), null,
        () => tensorTable(taps.filter(inMlp), prefix))])));
  }
  blocks.push(block(t.head2, `[${nTokens}, ${m.vocab_size}]`, null, () => tensorTable(groups.get("head") || [], "")));
  body.replaceChildren(flow(blocks));
}

// ---- time ----------------------------------------------------------------------------------------
function drawTime() {
  const body = byId("time-body");
  if (!data.time || data.time.ops.length === 0) { body.replaceChildren(make("p", { class: "quiet" }, t.none)); return; }
  const sum = data.time.ops.reduce((total, op) => total + op.seconds, 0);
  const rate = (amount, seconds) => (amount > 0 && seconds > 0 ? (amount / seconds * 1e-9).toFixed(2) : "–");
  body.replaceChildren(make("p", {}, t.total((data.time.seconds * 1e3).toFixed(2), nTokens)), make("div", { class: "scroll" }, make("table", { class: "numbers" },
    make("thead", {}, make("tr", {}, make("th", { scope: "col" }, t.op), ...[t.calls, t.ms, t.share].map((name) => make("th", { class: "n", scope: "col" }, name)),
      make("th", { "aria-hidden": "true" }), ...[t.gbs, t.gflops].map((name) => make("th", { class: "n", scope: "col" }, name)))),
    make("tbody", {}, ...data.time.ops.map((op) => make("tr", {}, make("th", { scope: "row" }, op.op), make("td", { class: "n" }, String(op.calls)),
      make("td", { class: "n" }, (op.seconds * 1e3).toFixed(3)), make("td", { class: "n" }, percent(op.seconds / sum)),
      make("td", { "aria-hidden": "true", style: "width:13rem" }, make("span", { class: "meter", style: "display:block" }, make("i", { style: `width:${(op.seconds / data.time.ops[0].seconds * 100).toFixed(1)}%` }))),
      make("td", { class: "n" }, rate(op.bytes, op.seconds)), make("td", { class: "n" }, rate(op.flops, op.seconds))))))));
}

// ---- the frame -----------------------------------------------------------------------------------
function drawFrame() {
  t = words[state.lang];
  document.documentElement.lang = state.lang === "zh" ? "zh-CN" : "en";
  document.title = `${data.model.name} · qwen3 trace`;
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = t[element.dataset.text];
  byId("subtitle").textContent = data.subtitle;
  byId("language").textContent = t.switchTo;
  byId("language").lang = state.lang === "zh" ? "en" : "zh-CN";
  byId("theme").textContent = document.documentElement.dataset.theme === "dark" ? t.light : t.dark;
  byId("contents").setAttribute("aria-label", t.nav);
  byId("contents").replaceChildren(make("ul", {}, ...["prompt", "experts", "lens", "attention", "model", "time"].map((id) =>
    make("li", {}, make("a", { href: "#" + id }, t[id])))));
}
function drawAll() {
  readRamp();
  drawFrame(); drawPrompt(); drawExperts(); drawLens(); drawAttention(); drawModel(); drawTime();
}
byId("language").addEventListener("click", () => { state.lang = state.lang === "zh" ? "en" : "zh"; drawAll(); });
byId("theme").addEventListener("click", () => {
  document.documentElement.dataset.theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  drawAll();
});
document.documentElement.dataset.theme = window.matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
drawAll();
