// The list of conversations: by age, filtered by the search.
// actions: open(id), rename(summary), exportOne(summary), remove(summary)
let listedConversations = [];
let searchNumber = 0;

async function drawList(current, actions) {
  listedConversations = await listConversations();
  const wanted = byId("search").value.trim();
  const number = ++searchNumber;
  const found = wanted === "" ? null : await searchConversations(wanted);
  if (number !== searchNumber) return;  // typed on meanwhile
  const shown = found ? listedConversations.filter((one) => found.has(one.id)) : listedConversations;
  const groups = groupByAge(shown, Date.now());
  const children = groups.map(([word, ones]) => make("section", { "aria-label": say(word) },
    make("h2", {}, say(word)), make("ul", {}, ...ones.map((one) => listItem(one, current, actions)))));
  byId("list").replaceChildren(...(children.length > 0 ? children : [make("p", { class: "note" }, say(found ? "notFound" : "nothing"))]));
}
function listItem(one, current, actions) {
  const title = one.title || say("untitled");
  const open = make("button", { type: "button", class: "conversation", "aria-current": one.id === current ? "true" : null, title, click: () => actions.open(one.id) }, title);
  return make("li", { class: one.id === current ? "chosen" : null }, open, make("span", { class: "list-actions" },
    iconButton("edit", say("rename"), () => actions.rename(one)), iconButton("down", say("exportOne"), () => actions.exportOne(one)),
    iconButton("remove", say("remove"), () => actions.remove(one))));
}
// [[word, conversations]], newest first.
function groupByAge(conversations, now) {
  const midnight = new Date(now).setHours(0, 0, 0, 0);
  const groups = [["today", []], ["week", []], ["older", []]];
  for (const one of conversations) groups[one.updated >= midnight ? 0 : one.updated >= midnight - 6 * 86400000 ? 1 : 2][1].push(one);
  return groups.filter(([, ones]) => ones.length > 0);
}
