"use strict";
// What every report page shares: the data, making elements, colours that follow the theme, and the
// frame with its switches of language and theme. All text goes in as text nodes: nothing of the
// data is ever read as markup.
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

const commonWords = {
  en: { skip: "Skip to the report", switchTo: "中文", light: "Light", dark: "Dark", nav: "Contents", comma: ", ", colon: ": " },
  zh: { skip: "跳到报告正文", switchTo: "English", light: "浅色", dark: "深色", nav: "目录", comma: "，", colon: "：" },
};
// What the reader switched to last; a browser may keep nothing for files.
function remembered(name) { try { return localStorage.getItem("qwen3-report-" + name); } catch { return null; } }
function remember(name, value) { try { localStorage.setItem("qwen3-report-" + name, value); } catch { /* then not */ } }
// The address keeps what the reader chose, so that a link leads there again: #section&name=value&…
let sectionNow = "";
const choicesNow = new Map();
function readAddress() {
  for (const part of location.hash.slice(1).split("&")) {
    const [name, value] = part.split("=").map(decodeURIComponent);
    if (value !== undefined) choicesNow.set(name, value);
    else if (name !== "") sectionNow = name;
  }
}
try { readAddress(); } catch { /* no address of ours */ }
// A number of the address from 0 to below `end`; else `otherwise`.
function addressed(name, end, otherwise) {
  const text = choicesNow.get(name) || "";
  return /^\d{1,9}$/.test(text) && Number(text) < end ? Number(text) : otherwise;
}
function keepInAddress(values) {
  for (const [name, value] of Object.entries(values)) choicesNow.set(name, String(value));
  const parts = [...choicesNow].map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`);
  try { history.replaceState(null, "", "#" + [encodeURIComponent(sectionNow), ...parts].join("&")); } catch { /* then not */ }
}
window.addEventListener("hashchange", () => {  // a link of the contents
  try { readAddress(); } catch { return; }
  if (choicesNow.size > 0) keepInAddress({});
});
let lang = (remembered("language") || data.lang) === "zh" ? "zh" : "en";
let t = {};  // the words of that language

function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key === "class") element.className = value;
    else if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}
function visible(text) {
  if (text === "") return "∅";
  return text.replace(/\r?\n/g, "⏎").replace(/\t/g, "⇥").replace(/^ | $/g, "␣")
    .replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2066-\u2069]/g, "�");
}
const quoted = (text) => (lang === "zh" ? `「${text}」` : `“${text}”`);
const number = (value) => (value === null ? "–" : Math.abs(value) >= 1e4 || (value !== 0 && Math.abs(value) < 1e-3)
  ? value.toExponential(2) : String(Math.round(value * 1e4) / 1e4));
const percent = (value) => (value > 0 && value < 0.0005 ? "< 0.1 %" : (value * 100).toFixed(value < 0.0995 ? 1 : 0) + " %");
function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; ++i) bytes[i] = text.charCodeAt(i);
  return bytes;
}
function say(text) { byId("live").textContent = text; }

function rgb(name) {
  const hex = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
}
let ramp = { low: [0, 0, 0], high: [0, 0, 0], mark: "#000", quiet: "#000" };
function readRamp() {
  const style = getComputedStyle(document.documentElement);
  ramp = { low: rgb("--ramp-low"), high: rgb("--ramp-high"),
    mark: style.getPropertyValue("--mark").trim(), quiet: style.getPropertyValue("--quiet").trim() };
}
function mixed(share) {
  const s = Math.max(0, Math.min(1, share));
  return ramp.low.map((low, i) => Math.round(low + (ramp.high[i] - low) * s));
}
const colour = (share) => `rgb(${mixed(share).join(",")})`;
// Black or white, whichever reads better on that colour (relative luminance of WCAG 2).
function inkOn(share) {
  const [r, g, b] = mixed(share).map((c) => (c / 255 <= 0.03928 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000000" : "#ffffff";  // at the crossing both have 4.58 to 1
}
const shaded = (share) => `background:${colour(share)};color:${inkOn(share)}`;

// ---- the frame -----------------------------------------------------------------------------------
// A section of the page, in the order of the calls: its heading is the word `id`, the text below it
// the word `id`Lead, where there is one. Without `children` it gets one <div>, `id`-body.
function section(id, ...children) {
  const lead = words.en[id + "Lead"] ? make("p", { class: "lead", "data-text": id + "Lead" }) : null;
  byId("main").append(make("section", { id, "aria-labelledby": id + "-title" }, make("h2", { id: id + "-title", "data-text": id }), lead,
    ...(children.length ? children : [make("div", { id: id + "-body" })])));
}
// page: name, for the title of the window; subtitle(); draw(), called again after every switch. The
// page's script also has the words {en, zh}, each with `title` and a heading per section.
function startPage(page) {
  const theme = document.documentElement.dataset;
  function drawFrame() {
    t = { ...commonWords[lang], ...words[lang] };
    document.documentElement.lang = lang === "zh" ? "zh-CN" : "en";
    document.title = page.name;
    for (const element of document.querySelectorAll("[data-text]")) element.textContent = t[element.dataset.text];
    byId("subtitle").textContent = page.subtitle();
    byId("language").textContent = t.switchTo;
    byId("language").lang = lang === "zh" ? "en" : "zh-CN";
    byId("theme").textContent = theme.theme === "dark" ? t.light : t.dark;
    byId("contents").setAttribute("aria-label", t.nav);
    byId("contents").replaceChildren(make("ul", {}, ...[...byId("main").querySelectorAll("section:not([hidden])")].map(({ id }) =>
      make("li", {}, make("a", { href: "#" + id }, t[id])))));
  }
  function drawAll() { readRamp(); drawFrame(); page.draw(); }
  byId("language").addEventListener("click", () => { lang = lang === "zh" ? "en" : "zh"; remember("language", lang); drawAll(); });
  byId("theme").addEventListener("click", () => { theme.theme = theme.theme === "dark" ? "light" : "dark"; remember("theme", theme.theme); drawAll(); });
  const dark = window.matchMedia("(prefers-color-scheme: dark)").matches;
  theme.theme = ["light", "dark"].find((name) => name === remembered("theme")) || (dark ? "dark" : "light");
  drawAll();
  // The browser went to the section of the address before there was anything above it.
  const wanted = sectionNow === "" ? null : byId(sectionNow);
  if (wanted) wanted.scrollIntoView({ behavior: "instant" });
}
