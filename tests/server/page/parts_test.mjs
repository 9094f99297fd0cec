// The rest of the page's pure parts: the tree, files, tokens, experts, requests, words; and what no
// source of the page may hold.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import test from "node:test";
import vm from "node:vm";
import { files, of, plain, scripts, source } from "./load.mjs";
import { FakeElement, everyElement, fakeDocument } from "./fake_dom.mjs";

test("no source writes markup, evaluates text, names a foreign address", () => {
  const banned = /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|\bFunction\(|setAttribute\("style"|\bon[a-z]+="|style="|DOMParser|createContextualFragment|localStorage|sessionStorage|document\.cookie/;
  for (const name of files) {
    if (!/\.(js|css|html|svg)$/.test(name)) continue;
    assert.doesNotMatch(source(name), banned, name);
    for (const [url] of source(name).matchAll(/(?:https?:)?\/\/[a-z0-9-]+\.[a-z0-9.-]+/g)) assert.equal(url, "http://www.w3.org", name);
  }
});

// cmake/embed_page.cmake takes blanks and comments out of what is served: no text of the page may change by it.
test("texts of the page outlive how it is embedded", () => {
  const joined = scripts.filter((name) => name !== "page.js").map(source).join("");
  const served = ("\n" + joined).replace(/\n *\/\/[^\n]*/g, "").replace(/ {2}\/\/[^\n"'`]*\n/g, "\n").replace(/ (=>|===|!==|&&|\|\||[?:=<>]|<=|>=) /g, "$1").replaceAll(") {", "){").replace(/\n +/g, "\n");
  const context = vm.createContext({ document: fakeDocument, navigator: { platform: "" }, matchMedia: () => ({ matches: false }), crypto, TextDecoder, TextEncoder, URL, performance });
  vm.runInContext('"use strict";\n' + served, context);
  const there = (name) => plain(vm.runInContext(name, context));
  for (const name of ["words", "icons", "samplingFields", "defaultSettings", "[...mathLetters]", "[...mathOperators]", "[...mathFences]", "styleBases", "mathTables"]) assert.deepEqual(there(name), plain(of(name)), name);
  const text = "# A *b* `c`\n\n- $x = \\frac{a ? b : c}{2}$\n\n| a | b |\n|---|---|\n| 1 | 2 |";
  assert.deepEqual(there(`parseMarkdown(${JSON.stringify(text)})`), plain(of("parseMarkdown")(text)));
  assert.equal(there('asCurl({ a: 1 }, "http://h", true)'), of("asCurl")({ a: 1 }, "http://h", true));
});

test("branches: edit, answer again, choose, remove", () => {
  const tree = of("newConversation")(1);
  const add = (parent, role, content) => of("addNode")(tree, parent, { role, content, created: tree.nodes.size });
  const path = () => [...of("pathOf")(tree)].map((node) => node.content).join(" ");
  const q = add(null, "user", "q"), a = add(q.id, "assistant", "a");
  const b = add(q.id, "assistant", "b");
  assert.equal(path(), "q b");
  of("chooseNode")(tree, a.id);
  assert.equal(path(), "q a");
  const next = add(a.id, "user", "more");
  add(next.id, "assistant", "end");
  assert.equal(path(), "q a more end");
  assert.deepEqual(plain(of("branchOf")(tree, b)), { at: 1, all: [a.id, b.id] });
  const edited = add(null, "user", "q2");
  assert.equal(path(), "q2");
  assert.equal(of("removeNode")(tree, edited.id).length, 1);
  assert.equal(path(), "q a more end");
  assert.equal(of("removeNode")(tree, a.id).length, 3);
  assert.equal(path(), "q b");
  assert.equal(of("titleOf")(tree), "q");
  of("removeNode")(tree, q.id);
  assert.equal(tree.nodes.size, 0);
});

test("a file brings conversations back, and nothing else", () => {
  const tree = of("newConversation")(5);
  const q = of("addNode")(tree, null, { role: "user", content: "q", created: 1 });
  of("addNode")(tree, q.id, { role: "assistant", content: "a", reasoning: "r", created: 2, calls: [{ id: "c", name: "f", arguments: "{}" }], tokens: [{ text: "a", logprob: -0.5, bytes: [97], id: 7, top: [{ text: "b", logprob: -1, bytes: [98], id: 8 }] }] });
  of("addNode")(tree, q.id, { role: "assistant", content: "b", created: 3 });
  const file = plain(of("exportConversations")([tree]));
  const [read] = of("importConversations")(file);
  assert.notEqual(read.id, tree.id);
  const strip = (one) => [...of("pathOf")(one)].map(({ id, parent, created, ...rest }) => rest);
  assert.deepEqual(plain(strip(read)), plain(strip(tree)));
  assert.deepEqual(plain([...read.nodes.values()][1].tokens[0]), plain([...tree.nodes.values()][1].tokens[0]));
  const evil = structuredClone(file);
  evil.conversations[0].nodes[1].__proto__x = 1;
  evil.conversations[0].nodes[1].tokens = [null, 3, { bytes: "x" }, { bytes: [1, 999, "a"], logprob: "x", top: [null, {}] }];
  const [tame] = of("importConversations")(evil);
  assert.deepEqual(plain([...tame.nodes.values()][1].tokens), [{ text: "", logprob: -9999, bytes: [1], top: [{ text: "", logprob: -9999, bytes: [] }] }]);
  assert.ok(!("__proto__x" in [...tame.nodes.values()][1]));
  for (const [change, why] of [[(f) => { f.format = "x"; }, /format/], [(f) => { f.version = 9; }, /version/], [(f) => { f.conversations = {}; }, /conversations/],
    [(f) => { f.conversations[0].nodes[0].parent = f.conversations[0].nodes[1].id; }, /nodes\[0\]\.parent/], [(f) => { f.conversations[0].nodes[1].role = "system"; }, /role/],
    [(f) => { f.conversations[0].nodes[1].id = f.conversations[0].nodes[0].id; }, /nodes\[1\]\.id/], [(f) => { f.conversations[0].nodes[0].content = 1; }, /content/], [() => null, null]]) {
    const bad = structuredClone(file);
    change(bad);
    if (why) assert.throws(() => of("importConversations")(bad), why);
  }
  for (const data of [null, 1, "x", [], {}]) assert.throws(() => of("importConversations")(data), /format/);
});

test("tokens: rank, level, where an alternative leads", () => {
  const token = (text, bytes, logprob, id, top = []) => ({ text, bytes, logprob, id, top });
  const euro = [0xe2, 0x82, 0xac];
  const tokens = [token("a", [97], -0.1, 1), token("", euro.slice(0, 2), -1, 2, [{ text: "b", bytes: [98], logprob: -0.5, id: 3 }, { text: "", bytes: euro.slice(0, 2), logprob: -1, id: 2 }]), token("", euro.slice(2), -0.01, 4)];
  assert.equal(of("rankOf")(tokens[1]), 2);
  assert.equal(of("rankOf")(tokens[0]), null);
  assert.equal(of("continuation")(tokens, 1, { bytes: [98] }), "ab");
  assert.equal(of("continuation")(tokens, 2, { bytes: [0x20] }), null);  // half a character before it
  assert.equal(of("continuation")(tokens, 2, { bytes: [0xac] }), "a€");
  assert.equal(of("textOfTokens")(tokens), "a€");
  assert.equal(of("shownToken")(tokens[1]), "\\xe2\\x82");
  assert.equal(of("shownToken")({ bytes: [32, 10] }), "␣⏎");
  const levels = [0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.6, 0.8, 0.95, 1].map((p) => of("levelOf")(p));
  assert.deepEqual(plain(levels), [0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9]);
  for (const [p, text] of [[1, "100 %"], [0.999, "99.9 %"], [0.5, "50 %"], [0.05, "5.0 %"], [0.0001, "< 0.1 %"], [0, "0.0 %"]]) assert.equal(of("percentOf")(p), text);
});

test("tokens find their places among all that were generated", () => {
  const entries = [{ id: 5 }, { id: 6 }, { id: 5 }];
  assert.equal(of("placeTokens")(entries, [5, 1, 2, 5, 6, 5, 9], 3), 6);
  assert.deepEqual(entries.map((one) => one.row), [3, 4, 5]);
});

test("experts: rows of one and of two bytes, and the mean", () => {
  const base64 = (bytes) => Buffer.from(bytes).toString("base64");
  const read = (...given) => [...of("readRouting")(...given)].map((row) => [...row]);
  assert.deepEqual(read(base64([1, 2, 3, 4, 5, 6, 7, 8]), [2, 2], 2), [[1, 2, 3, 4], [5, 6, 7, 8]]);
  assert.deepEqual(read(base64([1, 1, 0, 2]), [1, 2], 1), [[257, 512]]);
  for (const bad of [[null, [1, 1]], ["!!", [1, 1]], ["AQ==", [0, 1]], ["AQ==", [1]], ["AQ==", null], ["AQ==", [1e9, 1]]]) assert.deepEqual(read(...bad, 1), []);
  const map = of("makeExpertMap")(2, 2);
  for (let i = 0; i < 500; ++i) map.add(Uint16Array.from([0, i % 2 ? 1 : 40, 7, 8]));
  assert.equal(map.experts, 64);
  assert.ok(Math.abs(map.share(0, 0) - 1) < 1e-3 && Math.abs(map.share(0, 1) - 0.5) < 0.01 && map.share(1, 9) === 0);
  let sum = 0;
  for (let expert = 0; expert < map.experts; ++expert) sum += map.share(0, expert);
  assert.ok(Math.abs(sum - 2) < 1e-3);
});

test("a stream of events reads the same in any pieces", () => {
  const text = ": ping\n\ndata: {\"a\":1}\n\nevent: x\r\ndata: one\r\ndata: two\r\n\r\ndata: [DONE]\n\n";
  const read = (pieces) => { const reader = of("makeEventReader")(); return pieces.flatMap((piece) => [...reader(piece)]); };
  for (let a = 0; a <= text.length; ++a) {
    for (let b = a; b <= text.length; ++b) {
      assert.deepEqual(read([text.slice(0, a), text.slice(a, b), text.slice(b)]), ["{\"a\":1}", "one\ntwo", "[DONE]"]);
    }
  }
});

test("a request says what was chosen and nothing else", () => {
  const features = of("readFeatures")({ id: "m", task: "generate", max_model_len: 10, meta: { thinking_switch: true } });
  const settings = of("readSettings")({ temperature: 0.5, top_p: "x", unknown: 1, system: "be brief", thinking: "off", record_tokens: false });
  const body = plain(of("makeRequest")([{ role: "user", content: "q" }, { role: "assistant", content: "a", reasoning: "r" }], settings, features, true));
  assert.deepEqual(body, { model: "m", messages: [{ role: "system", content: "be brief" }, { role: "user", content: "q" }, { role: "assistant", content: "a", reasoning_content: "r" }],
    stream: true, stream_options: { include_usage: true, continuous_usage_stats: true }, temperature: 0.5, chat_template_kwargs: { enable_thinking: false }, continue_final_message: true, add_generation_prompt: false });
  const rich = of("readFeatures")({ id: "m", meta: { routed_experts: true, reasoning_control: true, progress: true, traces: true } });
  const all = plain(of("makeRequest")([], of("readSettings")({ record_trace: true, tools: "[{}]", schema: "{\"type\":\"object\"}", thinking_budget: 9 }), rich, false));
  for (const name of ["logprobs", "return_token_ids", "trace", "return_routed_experts", "return_progress", "reasoning_control", "tools", "response_format", "thinking_budget"]) {
    assert.ok(name === "thinking_budget" ? all.thinking_token_budget === 9 : name in all, name);
  }
  assert.match(of("readJsonField")("{", "object").error, /Not JSON/);
  assert.match(of("readJsonField")("{}", "array").error, /array/);
});

test("the command of a request is the request", () => {
  const body = { a: "it's \"$HOME\" `x` \\ \n€", b: "'" };
  const command = of("asCurl")(body, "http://127.0.0.1:8000", true).replace(/^curl/, "printf '%s\\n'");
  const ran = spawnSync("sh", ["-c", command], { encoding: "utf8", env: { ...process.env, API_KEY: "KEY" } });
  const args = ran.stdout.split("\n");
  assert.deepEqual(JSON.parse(args[args.indexOf("-d") + 1]), body);
  assert.ok(args.includes("authorization: Bearer KEY"));
});

test("words: both languages have all, and the page uses all", () => {
  const { en, zh } = plain(of("words"));
  assert.deepEqual(Object.keys(zh).sort(), Object.keys(en).sort());
  const blanks = (text) => (text.match(/\{\w+\}/g) || []).sort();
  for (const name of Object.keys(en)) {
    assert.deepEqual(blanks(zh[name]), blanks(en[name]), name);
    assert.ok(zh[name].trim() !== "" && en[name].trim() !== "", name);
  }
  const text = scripts.filter((name) => name !== "words.js").map(source).join("") + source("page.html");
  const used = new Set([...text.matchAll(/say\("(\w+)"/g), ...text.matchAll(/data-(?:text|label|word|title|placeholder)="(\w+)"/g)].map((match) => match[1]));
  for (const name of used) assert.ok(name in en, `no word "${name}"`);
  for (const name of Object.keys(en)) assert.ok(used.has(name) || new RegExp(`"${name}"|[{ ]${name}: \\[`).test(text), `word "${name}" is not used`);
  assert.equal(of("chooseLanguage")("", ["zh-TW"]), "zh");
  assert.equal(of("chooseLanguage")("", ["fr", "zh"]), "en");
  assert.equal(of("chooseLanguage")("zh", ["en"]), "zh");
});

test("messages, results, errors and names of tools are text", () => {
  const evil = "<img src=x onerror=alert(1)><script>alert(2)</script>[x](javascript:1)";
  const actions = { branch: () => ({ at: 0, all: ["x", "y"] }), busy: () => false, keyed: () => false, settings: () => ({ show_tokens: true }), features: () => ({ control: true }), isLast: () => true };
  const nodes = [{ role: "user", content: evil }, { role: "tool", content: evil }, { role: "assistant", content: evil, reasoning: evil, error: evil, calls: [{ id: evil, name: evil, arguments: evil }] },
    { role: "assistant", content: evil, tokens: [{ text: evil, bytes: [...Buffer.from(evil)], logprob: -0.1, top: [] }] }];
  for (const node of nodes) {
    const root = new FakeElement("root");
    root.append(of("makeMessageView")({ id: "n", parent: null, ...node }, actions).element);
    assert.ok(root.textContent.includes("<img src=x onerror=alert(1)>"));
    for (const element of everyElement(root)) {
      assert.ok(!["IMG", "SCRIPT", "IFRAME", "OBJECT", "STYLE"].includes(element.tagName));
      for (const name of element.attributes.keys()) assert.ok(!/^on|^src$|^style$|^srcdoc$/.test(name), name);
    }
  }
});
