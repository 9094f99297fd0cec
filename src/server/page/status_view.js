// The line below the message box, and the bar while a prompt is read.
function drawStatus({ features, node, queue, live }) {
  const parts = [];
  if (features) {
    parts.push(make("span", { class: "model", title: features.parameters ? say("parameters", { n: shortNumber(features.parameters) }) : null }, features.name));
    const used = node ? (node.prompt_tokens || 0) + (node.answer_tokens || 0) : 0;
    if (used > 0 && features.context > 0) parts.push(contextBar(used, node.cached_tokens || 0, features.context));
    if (node && node.rate) parts.push(make("span", { class: live ? "rate live" : "rate" }, say("tokensPerSecond", { n: node.rate.toFixed(node.rate < 10 ? 1 : 0) })));
  }
  if (queue && queue.running + queue.waiting > 1) {
    parts.push(make("span", {}, say("running", { n: queue.running }) + (queue.waiting ? ", " + say("queueWaiting", { n: queue.waiting }) : "")));
  }
  byId("status").replaceChildren(...parts);
}
function contextBar(used, cached, context) {
  const text = say("used", { used: shortNumber(used), all: shortNumber(context) }) + (cached > 0 ? ", " + say("cached", { n: shortNumber(cached) }) : "");
  return make("span", { class: "context", title: text }, make("progress", { max: String(context), value: String(used), "aria-label": text }), make("span", {}, text));
}
function shortNumber(n) {
  if (n >= 1e9) return (n / 1e9).toFixed(n < 1e10 ? 1 : 0) + " B";
  if (n >= 1e6) return (n / 1e6).toFixed(n < 1e7 ? 1 : 0) + " M";
  return String(n).replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f");
}
// progress: of the API; null hides the bar. elapsed: ms since the request.
function drawPrefill(progress, elapsed) {
  const box = byId("prefill");
  box.hidden = progress === null || progress.processed >= progress.total;
  if (box.hidden) return;
  const fresh = progress.processed - progress.cache;
  const left = fresh > 0 ? (progress.total - progress.processed) * (progress.time_ms || elapsed) / fresh / 1000 : 0;
  byId("prefill-bar").value = progress.processed / progress.total;
  byId("prefill-text").textContent = say("prefill", { done: shortNumber(progress.processed), total: shortNumber(progress.total) }) +
    (left >= 2 ? ", " + say("prefillLeft", { s: Math.round(left) }) : "");
}
