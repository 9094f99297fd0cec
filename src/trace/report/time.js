// Time per operation.
function drawTime() {
  const body = byId("time-body");
  if (byId("time").hidden) return;
  const sum = data.time.ops.reduce((total, op) => total + op.seconds, 0);
  const rate = (amount, seconds) => (amount > 0 && seconds > 0 ? (amount / seconds * 1e-9).toFixed(2) : "–");
  body.replaceChildren(make("p", {}, t.total(data.time.seconds >= 1 ? data.time.seconds.toFixed(2) + " s" : (data.time.seconds * 1e3).toFixed(2) + " ms", nTokens)), make("div", { class: "scroll" }, make("table", { class: "numbers wide" },
    make("thead", {}, make("tr", {}, make("th", { scope: "col" }, t.op), ...[t.calls, t.ms, t.share].map((name) => make("th", { class: "n", scope: "col" }, name)),
      make("th", { "aria-hidden": "true" }), ...[t.gbs, t.gflops].map((name) => make("th", { class: "n", scope: "col" }, name)))),
    make("tbody", {}, ...data.time.ops.map((op) => make("tr", {}, make("th", { scope: "row" }, op.op), make("td", { class: "n" }, String(op.calls)),
      make("td", { class: "n" }, (op.seconds * 1e3).toFixed(3)), make("td", { class: "n" }, percent(op.seconds / sum)),
      make("td", { "aria-hidden": "true", class: "middle", style: "width:40%" }, make("span", { class: "meter", style: "display:block;max-width:none" }, make("i", { style: `width:${(op.seconds / data.time.ops[0].seconds * 100).toFixed(1)}%` }))),
      make("td", { class: "n" }, rate(op.bytes, op.seconds)), make("td", { class: "n" }, rate(op.flops, op.seconds))))))));
}
