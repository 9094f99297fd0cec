// The tokens of an answer, each with its probability as an underline; and the inspector, which shows
// one of them: how likely it was, what else could have come, and goes on from there with another.

// actions: continueFrom(node, at, rival), showRow(node, row or null).
function makeTokenView(element, node, actions) {
  const spans = [];                 // of the last maxTokenSpans tokens
  let first = 0;                    // the token of spans[0]
  let older = null;                 // what came before, as text
  element.className = "tokens";
  function spanOf(token, at) {
    const text = textOfBytes(token.bytes);
    const shown = text === null || text === "" ? shownToken(token) : text.replace(/\n/g, "⏎\n");
    const span = make("span", { class: `token p${levelOf(probabilityOf(token))}${token.forced ? " forced" : ""}`, tabindex: "-1" }, shown);
    span.at = at;
    return span;
  }
  function addOlder(text) {
    if (!older) {
      const box = make("span", { class: "older" });
      element.prepend(box);
      older = makeGrowingText(box);
    }
    older(text);
  }
  function push(tokens) {
    for (const token of tokens) {
      const span = spanOf(token, first + spans.length);
      spans.push(span);
      element.append(span);
      if (spans.length > maxTokenSpans) {
        const old = spans.shift();
        addOlder(textOfTokens(node.tokens, first, first + 1));
        ++first;
        old.remove();
      }
    }
    if (spans.length > 0 && spans[0].tabIndex !== 0) spans[0].tabIndex = 0;
  }
  const spanAt = (event) => (event.target.closest ? event.target.closest(".token") : null);
  const show = (span, pinned) => inspect(span, node, span.at, actions, pinned);
  element.addEventListener("pointerover", (event) => { if (event.pointerType === "mouse" && spanAt(event)) show(spanAt(event), false); });
  element.addEventListener("pointerleave", () => leaveInspector());
  element.addEventListener("click", (event) => { if (spanAt(event)) { spanAt(event).focus(); show(spanAt(event), true); } });
  element.addEventListener("focusin", (event) => { if (spanAt(event)) show(spanAt(event), true); });
  element.addEventListener("keydown", (event) => {
    const span = spanAt(event);
    if (!span) return;
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step) {
      const next = spans[span.at - first + step];
      if (next) { span.tabIndex = -1; next.tabIndex = 0; next.focus(); }
      event.preventDefault();
    } else if (event.key === "Enter" || event.key === "ArrowDown") {
      const rival = byId("inspector").querySelector("button");
      if (rival) rival.focus();
      event.preventDefault();
    } else if (event.key === "Escape") {
      hideInspector();
      event.stopPropagation();
    }
  });
  const all = node.tokens || [];
  const before = textBefore(node, all);
  if (before !== "") addOlder(before);
  const begin = Math.max(0, all.length - maxTokenSpans);
  if (begin > 0) addOlder(textOfTokens(all, 0, begin));
  first = begin;
  push(all.slice(begin));
  return { push, hasTokens: () => all.length > 0 };
}
// What of the message its tokens do not spell: it was written before anything was recorded.
function textBefore(node, tokens) {
  const spelled = textOfTokens(tokens);
  return node.content.endsWith(spelled) ? node.content.slice(0, node.content.length - spelled.length) : "";
}

let inspected = null;      // {span, pinned, timer}
function inspect(span, node, at, actions, pinned) {
  if (inspected && inspected.pinned && !pinned) return;
  if (inspected) { clearTimeout(inspected.timer); inspected.span.classList.remove("chosen"); }
  inspected = { span, pinned, timer: 0, actions };
  span.classList.add("chosen");
  const token = node.tokens[at];
  const box = byId("inspector");
  box.setAttribute("aria-label", say("alternatives"));
  box.replaceChildren(...inspectorParts(node, at, token, actions));
  box.hidden = false;
  placeBox(box, span);
  actions.showRow(node, token.row ?? null);
}
function inspectorParts(node, at, token, actions) {
  const rank = rankOf(token);
  const fact = (name, value) => [make("dt", {}, say(name)), make("dd", {}, value)];
  const facts = make("dl", { class: "facts" },
    ...fact("probability", percentOf(probabilityOf(token))),
    ...fact("rank", token.forced ? say("forced") : rank === null ? say("rankBeyond", { n: token.top.length }) : say("rankOf", { n: rank })),
    ...(token.id === undefined ? [] : fact("id", String(token.id))),
    ...fact("bytes", token.bytes.map((byte) => byte.toString(16).padStart(2, "0")).join(" ")));
  const base = textBefore(node, node.tokens);
  const rivals = token.top.map((rival) => rivalButton(rival, rival.id !== undefined ? rival.id === token.id : sameBytes(rival.bytes, token.bytes), () => {
    const content = continuation(node.tokens, at, rival);
    hideInspector();
    actions.continueFrom(node, at, rival, base + content);
  }, continuation(node.tokens, at, rival) !== null));
  return [make("p", { class: "inspected" }, shownToken(token)), facts,
    rivals.length > 0 ? make("div", { class: "rivals", role: "group", "aria-label": say("alternatives") }, ...rivals) : ""];
}
function rivalButton(rival, chosen, go, possible) {
  const share = probabilityOf(rival);
  return make("button", {
    type: "button", class: chosen ? "rival chosen" : "rival", title: possible ? say("continueFrom") : say("notText"),
    disabled: possible ? null : "", click: go,
  }, make("span", { class: "rival-text" }, shownToken(rival)), make("progress", { max: "1", value: String(share), "aria-hidden": "true" }), make("span", { class: "rival-share" }, percentOf(share)));
}
// Below the token, or above where there is no room; the style of narrow screens ignores it.
function placeBox(box, span) {
  const at = span.getBoundingClientRect();
  const x = Math.max(8, Math.min(at.left, innerWidth - box.offsetWidth - 8));
  const below = at.bottom + 6;
  const y = below + box.offsetHeight > innerHeight - 8 ? Math.max(8, at.top - box.offsetHeight - 6) : below;
  box.style.setProperty("--x", x + "px");
  box.style.setProperty("--y", y + "px");
}
function leaveInspector() {
  if (!inspected || inspected.pinned) return;
  clearTimeout(inspected.timer);
  inspected.timer = setTimeout(() => { if (inspected && !inspected.pinned) hideInspector(); }, 300);
}
function hideInspector() {
  if (!inspected) return;
  const { span, actions, timer } = inspected;
  clearTimeout(timer);
  inspected = null;
  span.classList.remove("chosen");
  if (byId("inspector").contains(document.activeElement) && span.isConnected) span.focus();
  byId("inspector").hidden = true;
  hideAgain();
  actions.showRow(null, null);
}
// Giving the focus back to the token opens it again.
function hideAgain() {
  if (!inspected) return;
  inspected.span.classList.remove("chosen");
  inspected = null;
  byId("inspector").hidden = true;
}
function startInspector() {
  const box = byId("inspector");
  box.addEventListener("pointerenter", () => { if (inspected) clearTimeout(inspected.timer); });
  box.addEventListener("pointerleave", () => leaveInspector());
  box.addEventListener("keydown", (event) => {
    const buttons = [...box.querySelectorAll("button:not([disabled])")];
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") { hideInspector(); event.stopPropagation(); }
    else if (step) {
      const next = buttons.indexOf(document.activeElement) + step;
      if (next < 0) inspected.span.focus();
      else if (buttons[next]) buttons[next].focus();
      event.preventDefault();
    }
  });
  document.addEventListener("pointerdown", (event) => {
    if (inspected && !box.contains(event.target) && !(event.target.closest && event.target.closest(".token"))) hideInspector();
  });
  byId("scroll").addEventListener("scroll", () => { if (inspected && !inspected.pinned) hideInspector(); else if (inspected) placeBox(box, inspected.span); });
}
