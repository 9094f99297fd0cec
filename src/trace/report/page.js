// Draws the report of one traced pass: the sections of the page and what they share. A file beside this
// one draws each section; words.js has the words. The frame and the tools are in base/page/page.js.

section("prompt", make("p", { id: "generated", class: "quiet" }),
  make("div", { id: "tokens", class: "tokens", role: "radiogroup", "aria-labelledby": "prompt-title", onkeydown: moveToken }),
  make("div", { id: "facts", class: "facts" }));
for (const id of ["experts", "lens", "attention", "model", "time"]) section(id);
// What this run has not recorded, and what a dense model has not, needs no card.
byId("experts").hidden = !data.model.moe || routing.length === 0;
byId("lens").hidden = !data.lens || data.lens.layers.length === 0;
byId("attention").hidden = attention.length === 0;
byId("time").hidden = !data.time || data.time.ops.length === 0;

const nTokens = data.tokens.length;
const named = new Map([...data.tokens, ...data.named]);
// What the reader chose: a token, whose experts the heat map shows, a cell of it, a head.
// First the token before the answer, and the head that looks most sharply at another one.
const opening = data.n_prompt > 0 && data.n_prompt < nTokens ? data.n_prompt - 1 : nTokens - 1;
const openingHead = focusedHeads(1)[0] || [0, 0];
const state = { token: addressed("token", nTokens, opening), mode: "all", heat: [0, routing.length ? choices(routing[0], opening)[0][0] : 0], head: attention.length === 0 ? openingHead
  : [addressed("layer", attention.length, openingHead[0]), addressed("head", attention[0].heads.length, openingHead[1])] };

const tokenText = (index) => visible(data.tokens[index][1]);
const nameOf = (id) => visible(named.has(id) ? named.get(id) : "#" + id);
const positionTitle = (index) => `${t.position} ${index}, id ${data.tokens[index][0]}` + (index < data.n_prompt ? "" : `, ${t.generated}`);

function promptStart() {
  const text = data.tokens.slice(0, data.n_prompt).map(([, piece]) => piece).join("");
  return text === "" ? "" : `${visible(text.slice(0, 40))}${text.length > 40 ? "…" : ""} · `;
}
function legend() { return make("span", { class: "legend" }, t.few, make("i", { "aria-hidden": "true" }), t.much); }

startPage({
  name: promptStart() + data.model.name + " · qwen3 trace", subtitle: () => data.subtitle,
  draw() { drawPrompt(); drawExperts(); drawLens(); drawAttention(); drawModel(); drawTime(); },
});
