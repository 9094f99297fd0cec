// The drawer of settings: what a request says besides its messages, and the page's own choices.
// `change(name, value)` keeps one.
function buildSettings(settings, features, change) {
  const rebuild = () => buildSettings(settings, features, change);
  const body = byId("panel-settings");
  const parts = [
    group("sampling", presetField(settings, features, change, rebuild), ...Object.entries(samplingFields).map(([name, range]) => sliderField(name, range, settings, features, change))),
    group("length_", numberField("max_tokens", settings, change, 1), numberField("seed", settings, change, 0)),
    features && (features.thinking || features.control) ? group("thinkingHead", features.thinking ? thinkingField(settings, change) : null, numberField("thinking_budget", settings, change, 0, "budget")) : null,
    group("instructions", textField("system", "instructionsHint", 4, settings, change)),
    group("toolsHead", jsonField("tools", "toolsHint", "array", settings, change)),
    group("schemaHead", jsonField("schema", "schemaHint", "object", settings, change)),
    group("record", switchField("record_tokens", "recordTokens", settings, change), features && features.traces ? switchField("record_trace", "recordTrace", settings, change) : null),
    group("page", choiceField("theme", [["", "system"], ["light", "light"], ["dark", "dark"]], settings, change),
      make("button", { type: "button", id: "language", lang: language === "zh" ? "en" : "zh-CN", click: () => change("language", language === "zh" ? "en" : "zh") }, say("language"))),
  ];
  body.replaceChildren(...parts.filter((part) => part !== null));
}
function group(name, ...children) {
  return make("fieldset", {}, make("legend", {}, say(name)), ...children);
}

// A preset fills the fields below it; they may be changed afterwards.
function presetField(settings, features, change, rebuild) {
  const presets = features ? features.presets : {};
  const names = Object.keys(presets);
  if (names.length === 0) return resetButton(change, rebuild);
  const select = make("select", { id: "preset", "aria-label": say("preset") }, make("option", { value: "" }, say("presetServer")),
    ...names.map((name) => make("option", { value: name }, name.replace(/_/g, " "))));
  select.value = names.includes(settings.preset) ? settings.preset : "";
  select.addEventListener("change", () => {
    const values = presets[select.value] || {};
    change("preset", select.value);
    for (const name of Object.keys(samplingFields)) change(name, Number.isFinite(values[name]) ? values[name] : null);
    if (typeof values.enable_thinking === "boolean") change("thinking", values.enable_thinking ? "on" : "off");
    rebuild();
  });
  return make("label", { class: "field" }, make("span", {}, say("preset")), select);
}
function resetButton(change, rebuild) {
  return make("button", { type: "button", class: "small", click: () => {
    for (const name of Object.keys(samplingFields)) change(name, null);
    rebuild();
  } }, say("reset"));
}
function sliderField(name, [least, most, step], settings, features, change) {
  const fallback = features && Number.isFinite(features.defaults[name]) ? features.defaults[name] : null;
  const slider = make("input", { type: "range", min: String(least), max: String(most), step: String(step), "aria-label": say(name) });
  const number = make("input", { type: "number", min: String(least), max: String(most), step: "any", "aria-label": say(name), placeholder: fallback === null ? say("unset") : String(Math.round(fallback * 1000) / 1000) });
  const show = () => {
    number.value = settings[name] === null ? "" : String(settings[name]);
    slider.value = String(settings[name] ?? fallback ?? { top_p: 1, repetition_penalty: 1, temperature: 1 }[name] ?? 0);
    slider.classList.toggle("unset", settings[name] === null);
  };
  slider.addEventListener("input", () => { change(name, Number(slider.value)); show(); });
  number.addEventListener("change", () => {
    const value = number.value === "" ? null : Math.max(least, Math.min(most, Number(number.value)));
    change(name, Number.isFinite(value) ? value : null);
    show();
  });
  show();
  return make("div", { class: "slider" }, make("span", {}, say(name)), number, slider);
}
function numberField(name, settings, change, least, word = name) {
  const field = make("input", { type: "number", min: String(least), step: "1", placeholder: say("unset"), id: "set-" + name });
  field.value = settings[name] === null ? "" : String(settings[name]);
  field.addEventListener("change", () => {
    const value = field.value === "" ? null : Math.max(least, Math.floor(Number(field.value)));
    change(name, Number.isSafeInteger(value) ? value : null);
    field.value = settings[name] === null ? "" : String(settings[name]);
  });
  return make("label", { class: "field" }, make("span", {}, say(word)), field);
}
function textField(name, hint, rows, settings, change) {
  const area = make("textarea", { rows: String(rows), placeholder: say(hint), "aria-label": say(hint), id: "set-" + name });
  area.value = settings[name];
  area.addEventListener("input", () => change(name, area.value));
  return area;
}
function jsonField(name, hint, kind, settings, change) {
  const area = textField(name, hint, 5, settings, change);
  area.classList.add("code-field");
  area.spellcheck = false;
  const problem = make("p", { class: "problem", id: "problem-" + name, "aria-live": "polite" });
  const check = () => {
    const { error } = readJsonField(area.value, kind);
    problem.textContent = error || "";
    area.setAttribute("aria-invalid", error ? "true" : "false");
  };
  area.setAttribute("aria-describedby", problem.id);
  area.addEventListener("input", check);
  check();
  return make("div", {}, area, problem);
}
// What the server said of a field, below it.
function showFieldProblem(param, message) {
  const name = param.startsWith("tools") ? "tools" : param.startsWith("response_format") ? "schema" : "";
  const problem = name && byId("problem-" + name);
  if (problem) problem.textContent = message;
}
function switchField(name, word, settings, change) {
  const box = make("input", { type: "checkbox", id: "set-" + name });
  box.checked = settings[name];
  box.addEventListener("change", () => change(name, box.checked));
  return make("label", { class: "check" }, box, make("span", {}, say(word)));
}
function choiceField(name, choices, settings, change) {
  const select = make("select", { id: "set-" + name }, ...choices.map(([value, word]) => make("option", { value }, say(word))));
  select.value = settings[name];
  select.addEventListener("change", () => change(name, select.value));
  return make("label", { class: "field" }, make("span", {}, say(name)), select);
}
function thinkingField(settings, change) {
  const select = make("select", { id: "set-thinking" }, ...["auto", "on", "off"].map((value) => make("option", { value }, say(value))));
  select.value = settings.thinking;
  select.addEventListener("change", () => change("thinking", select.value));
  return make("label", { class: "field" }, make("span", {}, say("thinkingSwitch")), select);
}

// ---- the last request -------------------------------------------------------------------------------
function buildRequestPanel() {
  const body = byId("panel-request");
  if (!lastExchange) { body.replaceChildren(make("p", { class: "note" }, say("noRequest"))); return; }
  const json = JSON.stringify(lastExchange.body, null, 2);
  const button = (word, go) => make("button", { type: "button", class: "small", click: go }, say(word));
  body.replaceChildren(
    make("h2", {}, say("lastRequest")),
    make("div", { class: "row" }, button("copyCurl", () => copyText(asCurl(lastExchange.body, location.origin, apiKey !== ""))), button("copyJson", () => copyText(json))),
    make("pre", { class: "raw", tabindex: "0" }, json),
    make("h2", {}, say("lastResponse")),
    lastExchange.cut ? make("p", { class: "note" }, say("cut")) : "",
    make("pre", { class: "raw", tabindex: "0" }, transcriptText(lastExchange)));
}
