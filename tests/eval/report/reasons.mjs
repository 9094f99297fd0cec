// The Chinese page has words of its own for every reason that a verdict may give: the sentences of
// eval/tasks and eval/score, as they stand in the sources, and examples of those that are put together.
//   node reasons.mjs SOURCE_DIRECTORY
import { readFileSync, readdirSync } from "node:fs";
import vm from "node:vm";

const source = process.argv[2];
const page = readFileSync(`${source}/src/eval/report/page.js`, "utf8");
const begin = page.indexOf("const kWhere"), end = page.indexOf('\nsection("score");');
if (begin < 0 || end < begin) throw new Error("page.js: no reasonText()");
const context = vm.createContext({});
vm.runInContext(`let lang = "zh";\n${page.slice(begin, end)}`, context);
const said = (reason, lang) => { context.reason = reason; return vm.runInContext(`lang = "${lang}"; reasonText(reason)`, context); };

const reasons = new Set([
  "the last fenced block is the answer", "the whole text is another grid", "an array is another value: a str", "an array is null",
  "the last array is empty: []", "the whole text is no JSON: Expecting value: line 1 column 1 (char 0)", "the whole text is no JSON",
  'another text: "five is the answer"', 'another answer: "7"', 'equal to "42"', "no letter from A to D stands out", "chose A", "chose A; the answer is B",
  "no content: 'length'", 'expected a text in "gen"; got int', "/a/0: expected 1; got 2", "/a: expected 2 elements; got 3", "/b: missing", "/b: not expected",
  "/b: missing in the text", "/b: missing in the row's answer", "the thinking never ends (cut off by the limit of tokens)",
]);
for (const folder of ["tasks", "score"]) {
  for (const file of readdirSync(`${source}/src/eval/${folder}`).filter((name) => name.endsWith(".cpp"))) {
    const text = readFileSync(`${source}/src/eval/${folder}/${file}`, "utf8");
    for (const [, literal] of text.matchAll(/reason = (?:[\w.]+ \? )?"((?:[^"\\]|\\.)*)"/g)) reasons.add(literal.replace(/\\"/g, '"'));
  }
}
let n_wrong = 0;
const check = (right, what) => { if (!right) { ++n_wrong; console.error(what); } };
for (const reason of reasons) {
  if (reason === "") continue;
  const chinese = said(reason, "zh");
  check(chinese !== reason && (/[\u4e00-\u9fff]/.test(chinese)), `not in Chinese: ${reason} -> ${chinese}`);
  check(!/\b(is|the|no|answer|missing|expected|chose)\b/.test(chinese.replace(/"[^"]*"|Expecting value.*/g, "")), `half in English: ${chinese}`);
  check(said(reason, "en") === reason, `changed in English: ${reason}`);
}
check(said('another text: "five is the answer"', "zh").startsWith("另一段文字"), "another text");
check(said("HTTP 503 of the server", "zh") === "HTTP 503 of the server", "the words of others stay");
console.log(`${reasons.size} reasons, ${n_wrong} wrong`);
process.exit(n_wrong === 0 && reasons.size > 25 ? 0 : 1);
