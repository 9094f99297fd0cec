// Draws the report of one traced pass: the sections of the page and what they share. A file beside this
// one draws each section; words.js has the words. The frame and the tools are in base/page/page.js.

section("prompt", make("p", { id: "generated", class: "quiet" }),
  make("div", { id: "tokens", class: "tokens", role: "radiogroup", "aria-labelledby": "prompt-title", onkeydown: moveToken }),
  make("div", { id: "facts", class: "facts" }));
for (const id of ["experts", "lens", "attention", "model", "time"]) section(id);

const nTokens = data.tokens.length;
const named = new Map([...data.tokens, ...data.named]);
// What the reader chose: a token, whose experts the heat map shows, a cell of it, a head.
const state = { token: nTokens - 1, mode: "all", heat: [0, routing.length ? choices(routing[0], nTokens - 1)[0][0] : 0], head: [0, 0] };

const tokenText = (index) => visible(data.tokens[index][1]);
const nameOf = (id) => visible(named.has(id) ? named.get(id) : "#" + id);
const positionTitle = (index) => `${t.position} ${index}, id ${data.tokens[index][0]}` + (index < data.n_prompt ? "" : `, ${t.generated}`);

function legend() { return make("span", { class: "legend" }, t.few, make("i", { "aria-hidden": "true" }), t.much); }

startPage({
  name: data.model.name + " · qwen3 trace", subtitle: () => data.subtitle,
  draw() { drawPrompt(); drawExperts(); drawLens(); drawAttention(); drawModel(); drawTime(); },
});
