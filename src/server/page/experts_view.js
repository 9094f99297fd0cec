// The map of experts: a canvas of layers by experts. Shade is the running mean, bright what the last
// token, or the one under the pointer, went to. At most 30 frames a second; with reduced motion one a
// second.
let expertMap = null;        // of the newest answer that has one
let expertMark = null;       // {row, text} of an inspected token
let expertFrame = 0;
let expertCells = null;      // {x, y, width, height} of a cell, as drawn last

function showExperts(map) {
  expertMap = map;
  expertMark = null;
  scheduleExperts();
}
function markExperts(row, text) {
  expertMark = row ? { row, text } : null;
  if (!row && expertMap && byId("map-readout")) byId("map-readout").textContent = "";
  scheduleExperts();
}
function scheduleExperts() {
  if (expertFrame !== 0 || byId("panel-experts").hidden) return;
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  expertFrame = setTimeout(() => { expertFrame = 0; drawExperts(); }, calm ? 1000 : 34);
}
function buildExpertsPanel(features) {
  const body = byId("panel-experts");
  if (!features || !features.experts) {
    body.replaceChildren(make("p", { class: "note" }, say(features && features.experts === false ? "mapDense" : "mapNone")));
    return;
  }
  const canvas = make("canvas", { id: "map", role: "img", "aria-label": say("experts"), tabindex: "0" });
  canvas.addEventListener("pointermove", (event) => readCell(canvas, event));
  canvas.addEventListener("pointerleave", () => { byId("map-readout").textContent = ""; });
  body.replaceChildren(make("p", { class: "note" }, say("mapLead")), canvas, make("p", { id: "map-readout", class: "readout", "aria-live": "off" }),
    make("p", { class: "legend" }, make("span", {}, say("mapLess")), make("i", {}), make("span", {}, say("mapMore"))));
  drawExperts();
}
function readCell(canvas, event) {
  if (!expertMap || !expertCells) return;
  const box = canvas.getBoundingClientRect();
  const layer = Math.floor((event.clientX - box.left) / expertCells.width);
  const expert = Math.floor((event.clientY - box.top) / expertCells.height);
  const inside = layer >= 0 && layer < expertMap.layers && expert >= 0 && expert < expertMap.experts;
  byId("map-readout").textContent = inside ? say("mapCell", { l: layer, e: expert, p: percentOf(expertMap.share(layer, expert)) }) : "";
}
function drawExperts() {
  const canvas = byId("map");
  if (!canvas || byId("panel-experts").hidden) return;
  const readout = byId("map-readout");
  if (!expertMap) { canvas.hidden = true; readout.textContent = say("mapEmpty"); return; }
  canvas.hidden = false;
  if (expertMark || readout.textContent === say("mapEmpty")) readout.textContent = expertMark ? expertMark.text : "";
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const { layers, experts, k } = expertMap;
  const room = canvas.parentElement.clientWidth - 32;
  const width = Math.max(3, Math.min(28, Math.floor(room / layers)));
  const height = Math.max(3, Math.min(28, Math.floor(Math.max(260, innerHeight - 300) / experts)));
  expertCells = { width, height };
  const scale = window.devicePixelRatio || 1;
  canvas.width = layers * width * scale;
  canvas.height = experts * height * scale;
  canvas.style.setProperty("width", layers * width + "px");
  canvas.style.setProperty("height", experts * height + "px");
  const paint = canvas.getContext("2d");
  paint.scale(scale, scale);
  const gap = Math.min(width, height) > 5 ? 1 : 0;
  const most = Math.max(...Array.from({ length: layers }, (_, l) => maxShare(l)), 1e-9);
  const low = hexOf(colour("--ramp-low")), high = hexOf(colour("--ramp-high"));
  for (let l = 0; l < layers; ++l) {
    for (let e = 0; e < experts; ++e) {
      const share = Math.sqrt(expertMap.share(l, e) / most);
      paint.fillStyle = `rgb(${low.map((from, i) => Math.round(from + (high[i] - from) * share)).join(",")})`;
      paint.fillRect(l * width, e * height, width - gap, height - gap);
    }
  }
  const row = expertMark ? expertMark.row : expertMap.last;
  if (!row) return;
  paint.fillStyle = colour("--mark");
  for (let i = 0; i < row.length; ++i) paint.fillRect(Math.floor(i / k) * width, row[i] * height, width - gap, height - gap);
}
function maxShare(layer) {
  let most = 0;
  for (let e = 0; e < expertMap.experts; ++e) most = Math.max(most, expertMap.share(layer, e));
  return most;
}
const hexOf = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
