// The parts of an answer (message_view.js): thought, text or tokens, calls of tools, error.
function assistantParts(view, actions) {
  const { node, element } = view;
  let thought = null, text = null, tokens = null, calls = null, error = null, body = null, waiting = null;
  const endWaiting = () => { if (waiting) waiting.remove(); waiting = null; };

  function drawThought() {
    if (!node.reasoning && !(view.live && thought)) return;
    if (!thought) {
      const title = make("span", { class: "thought-title" });
      const count = make("span", { class: "thought-count" });
      const stop = make("button", { type: "button", class: "small", hidden: "", click: (event) => { event.preventDefault(); actions.endThought(node); } }, say("endThought"));
      const inside = make("div", { class: "thought-text" });
      const box = make("details", { class: "thought" }, make("summary", {}, icon("thought"), title, count, stop), inside);
      thought = { box, title, count, stop, grow: makeGrowingText(inside) };
      thought.grow(node.reasoning || "");
      body.before(box);
    }
    updateThought();
  }
  function updateThought() {
    if (!thought) return;
    const going = view.live && node.content === "" && !(node.calls && node.calls.length);
    thought.title.textContent = say(going ? "thinking" : "thoughtFor");
    thought.title.classList.toggle("going", going);
    thought.count.hidden = !node.thought_tokens;
    thought.count.textContent = node.thought_tokens ? say("thoughtTokens", { n: node.thought_tokens }) : "";
    thought.stop.hidden = !(going && actions.features() && actions.features().control);
  }
  function drawText() {
    const asTokens = actions.settings().show_tokens && node.tokens && node.tokens.length > 0;
    body.replaceChildren();
    body.className = "prose";
    text = tokens = null;
    if (asTokens) {
      const line = make("div", {});
      body.append(line);
      tokens = makeTokenView(line, node, actions);
    } else {
      text = makeMarkdownView(body);
      if (node.content !== "") text.push(node.content);
      if (!view.live) text.finish();
      if (actions.settings().show_tokens && !view.live && node.content !== "") body.append(make("p", { class: "note" }, say("noTokens")));
    }
  }
  function drawCalls() {
    if (calls) calls.remove();
    calls = null;
    if (!node.calls || node.calls.length === 0) return;
    calls = make("div", { class: "calls" }, ...node.calls.map((call) => make("section", { class: "card call", "aria-label": say("call") },
      make("header", {}, icon("tool"), make("code", {}, call.name)), make("pre", { tabindex: "0" }, pretty(call.arguments)))));
    if (!view.live && actions.isLast(node)) calls.append(resultForm());
    body.after(calls);
  }
  // A field for the result of each call; they go out together.
  function resultForm() {
    const fields = node.calls.map((call) => make("textarea", { rows: "2", placeholder: say("resultHint"), "aria-label": `${say("result")}: ${call.name}` }));
    const send = () => {
      const texts = fields.map((field) => field.value);
      if (texts.some((one) => one.trim() === "")) { toast(say("resultMissing")); return; }
      actions.sendResults(node, texts);
    };
    return make("div", { class: "results" },
      ...fields.map((field, i) => make("label", {}, make("span", {}, fields.length > 1 ? `${say("result")}: ${node.calls[i].name}` : say("result")), field)),
      make("button", { type: "button", class: "primary", click: send }, say(fields.length > 1 ? "sendResults" : "sendResult")));
  }
  function drawError() {
    if (error) error.remove();
    error = node.error ? make("p", { class: "error", role: "alert" }, node.error) : null;
    if (error) element.insertBefore(error, view.actionsBar && view.actionsBar.parentNode === element ? view.actionsBar : null);
  }
  return {
    drawAnswer() {
      thought = calls = error = null;
      body = make("div", { class: "prose" });
      element.append(body);
      waiting = view.live && !node.reasoning && node.content === "" ? make("p", { class: "waiting", "aria-label": say("waiting") }) : null;
      if (waiting) body.after(waiting);
      drawThought();
      drawText();
      drawCalls();
      drawError();
    },
    // What came since the last frame; texts may be empty.
    pushLive({ reasoning, content, newTokens, hasCalls }) {
      if (waiting && (reasoning !== "" || content !== "" || hasCalls)) endWaiting();
      if (reasoning !== "") {
        if (thought) thought.grow(reasoning); else drawThought();
      }
      updateThought();
      if (content !== "" || newTokens.length > 0) {
        const wanted = actions.settings().show_tokens && node.tokens && node.tokens.length > 0;
        if (wanted && !tokens) drawText();
        else if (tokens) tokens.push(newTokens);
        else text.push(content);
      }
      if (hasCalls) drawCalls();
    },
    finishLive() {
      view.live = false;
      endWaiting();
      if (text) text.finish();
      updateThought();
      drawCalls();
      drawError();
      view.drawActions();
    },
  };
}
