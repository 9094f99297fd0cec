// The page's scripts in Node, joined as cmake/embed_page.cmake joins them, without the one that starts
// the page. Returns what the tests ask for by name.
import fs from "node:fs";
import path from "node:path";
import vm from "node:vm";
import { fileURLToPath } from "node:url";
import { fakeDocument } from "./fake_dom.mjs";

export const folder = path.join(path.dirname(fileURLToPath(import.meta.url)), "../../../src/server/page");
export const files = fs.readdirSync(folder).sort();
export const source = (name) => fs.readFileSync(path.join(folder, name), "utf8");
export const scripts = files.filter((name) => name.endsWith(".js"));

const context = vm.createContext({
  document: fakeDocument, TextDecoder, TextEncoder, URL, atob, crypto, structuredClone, performance, setTimeout, clearTimeout,
  matchMedia: () => ({ matches: false }), navigator: { platform: "" },
});
const joined = scripts.filter((name) => name !== "page.js").map(source).join("");
vm.runInContext('"use strict";\n' + joined, context, { filename: "chat.js" });
// A name of the scripts; objects that it makes are of another realm, so compare them by plain().
export const of = (name) => vm.runInContext(name, context);
export const plain = (value) => JSON.parse(JSON.stringify(value));
