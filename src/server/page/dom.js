// Making elements. All text goes in as text nodes: nothing of a model, a file or a server is ever
// read as markup.
const byId = (id) => document.getElementById(id);

function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "class") element.className = value;
    else if (typeof value === "function") element.addEventListener(key, value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

// Paths in a square of 20.
const icons = {
  menu: "M3 5.5h14M3 10h14M3 14.5h14", plus: "M10 4v12M4 10h12", search: "M9 3.5a5.5 5.5 0 1 1 0 11a5.5 5.5 0 0 1 0-11M13.2 13.2L17 17",
  tokens: "M3 6.5h5M10.5 6.5H17M3 10h8M13.5 10H17M3 13.5h3M8.5 13.5H14", grid: "M3.5 3.5h5v5h-5zM11.5 3.5h5v5h-5zM3.5 11.5h5v5h-5zM11.5 11.5h5v5h-5z",
  sliders: "M3 6h8M15 6h2M3 14h2M9 14h8M13 4v4M7 12v4", down: "M10 4v12M5 11l5 5l5-5", up: "M10 16V4M5 9l5-5l5 5", stop: "M6 6h8v8H6z",
  thought: "M10 3a5 5 0 0 0-2.7 9.2c.5.4.7.8.7 1.3h4c0-.5.2-.9.7-1.3A5 5 0 0 0 10 3M8.2 16.5h3.6", close: "M5 5l10 10M15 5L5 15",
  copy: "M7 7h9v9H7zM13 7V4H4v9h3", edit: "M4 16l.8-3.4L13 4.4l2.6 2.6l-8.2 8.2zM11.5 6l2.5 2.5", again: "M15.5 7A6 6 0 1 0 16 10.8M15.8 3.5V7h-3.5",
  continue: "M4 10h11M11 6l4 4l-4 4", remove: "M4.5 6h11M8 6V4h4v2M6 6l.7 10h6.6L14 6", left: "M12 5l-5 5l5 5", right: "M8 5l5 5l-5 5",
  trace: "M3 15l4-6l3 3l4-7l3 4", tool: "M12.5 3.5a4 4 0 0 0-3.8 5.3L3.5 14v2.5H6l5.2-5.2a4 4 0 0 0 5.1-4.9L13.8 9L11 6.2l2.5-2.5z", more: "M5 10h.01M10 10h.01M15 10h.01", check: "M4 10.5l4 4l8-9",
};
function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (const [key, value] of Object.entries({ viewBox: "0 0 20 20", "aria-hidden": "true", class: "icon" })) svg.setAttribute(key, value);
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", icons[name]);
  svg.append(path);
  return svg;
}
// A button of one icon; the label is what it is called.
function iconButton(name, label, onClick, extra = {}) {
  return make("button", { type: "button", class: "icon-button", "aria-label": label, title: label, click: onClick, ...extra }, icon(name));
}

// Puts the words of the language into everything of page.html that names one.
function putWords() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = say(element.dataset.text);
  for (const element of document.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", say(element.dataset.label));
    if (element.tagName === "BUTTON") element.title = say(element.dataset.label);
  }
  for (const element of document.querySelectorAll("[data-placeholder]")) element.placeholder = say(element.dataset.placeholder);
  for (const element of document.querySelectorAll("[data-title]")) element.title = say(element.dataset.title);
  for (const element of document.querySelectorAll("[data-icon], [data-word]")) {
    const parts = [];
    if (element.dataset.icon) parts.push(icon(element.dataset.icon));
    if (element.dataset.word) parts.push(make("span", { class: "word" }, say(element.dataset.word)));
    if (element.dataset.keys) parts.push(make("kbd", {}, (isApple() ? "⌘" : "Ctrl ") + element.dataset.keys));
    element.replaceChildren(...parts);
  }
}
const isApple = () => /Mac|iPhone|iPad/.test(navigator.platform);

let toastTimer = 0;
function toast(text) {
  byId("toast").textContent = text;
  byId("toast").hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { byId("toast").hidden = true; }, 2400);
}
// Read out by screen readers when they have time.
function announce(text) { byId("live").textContent = text; }

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {  // no permission, or a page that is not on https or loopback
    const area = make("textarea", { class: "unseen" });
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  toast(say("copied"));
}
function saveFile(name, text, type) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
}

// A question over the page: resolves to what `ok` made of it, or null.
function ask({ title, text, field, ok, danger }) {
  const dialog = byId("dialog");
  return new Promise((resolve) => {
    const end = (value) => { dialog.close(); dialog.replaceChildren(); resolve(value); };
    const input = field && make("input", { type: field.type, value: field.value, "aria-label": field.label, autocomplete: "off", spellcheck: "false", class: "dialog-field" });
    const accept = () => end(input ? input.value : true);
    if (input) input.addEventListener("keydown", (event) => { if (event.key === "Enter" && !event.isComposing) { event.preventDefault(); accept(); } });
    const heading = make("h2", { id: "dialog-title" }, title);
    dialog.setAttribute("aria-labelledby", "dialog-title");
    dialog.replaceChildren(heading, text ? make("p", {}, text) : "", input || "",
      make("div", { class: "dialog-end" },
        make("button", { type: "button", click: () => end(null) }, say("cancel")),
        make("button", { type: "button", class: danger ? "primary danger" : "primary", click: accept }, ok)));
    dialog.oncancel = (event) => { event.preventDefault(); end(null); };
    dialog.showModal();
    if (input) input.select();
  });
}
