// Draws the report of a scored run, and of its comparison with another one. The frame and the tools
// are in base/page/page.js.

const words = {
  en: {
    title: "What the answers were worth",
    score: "The score", accuracy: "accuracy", interval: (c, by) => `${c} % interval, ${by === "wilson" ? "Wilson, because the tasks were all alike" : "bootstrap over tasks"}`, error: "standard error",
    samples: "answers", of: "of", samplesOf: "The tasks are counted by all their samples, the lines below by the samples that both runs have: a task can be better with nothing gained.",
    taskCount: "tasks", agreement: "agreement", majority: "by majority", torn: "The file ends inside a line; that line was left out.",
    unreadable: (n) => `${n} lines are not rows and were left out.`, withoutGen: (n) => `${n} rows lack "gen".`, withoutAnswer: (n) => `${n} rows lack "answer".`,
    toCome: (n) => `${n} answers are still to come: this is the score so far.`,
    comparison: "Against the other run", comparisonLead: "The same questions, answered twice. The interval is a paired bootstrap over the tasks that both runs have; the sign test asks whether a fair coin would part the tasks as unevenly.",
    thisRun: "this run", otherRun: "the other run", difference: "difference", better: "tasks better", worse: "tasks worse", pValue: "sign test, p",
    gained: "right only here", lost: "right only there", stop: ".", both: "right in both", neither: "right in neither", onlyHere: (n) => `${n} answers are only here`, onlyThere: (n) => `${n} only there`,
    tasks: "Task by task", tasksLead: "Each square is a task: green all right, red none, yellow in between. Choose one to see its answers; arrow keys move.",
    allRight: "all right", noneRight: "none right", someRight: "in between", taskText: (name, right, n) => `${name}: ${right} of ${n} right`, moreTasks: (n) => `${n} further tasks are not drawn.`,
    answers: "Answer by answer", answersLead: "Filter, choose, read: what was asked, thought and answered, and how it was judged.",
    filterAll: "all", search: "task or text", found: (n, all) => `${n} of ${all} answers`, more: "show more", changedOnly: "changed", oneTask: (name) => `task ${name} ×`,
    leftOut: (n) => `${n} right answers are not on this page; they are in the file.`, withoutText: (n) => `The texts of ${n} answers are not on this page; they are in the file, at the line given.`,
    prediction: "prediction", truth: "truth", wrongCells: (n) => `difference: ${n} ${n === 1 ? "cell" : "cells"}`, wrongSize: (a, b) => `difference: ${a} instead of ${b}`, none: "none", same: "difference: none",
    prompt: "Prompt", thinking: "Thinking", answer: "Answer", otherAnswer: "Answer of the other run", otherThinking: "Thinking of the other run", gridsOfPrompt: "Grids in the prompt", notHere: "not on this page",
    promptTokens: "prompt tokens", tokens: "tokens", seconds: "seconds", finish: "finish reason", line: "line", sample: "sample", promptNo: "prompt", cutOff: "cut off",
    spread: "Lengths and times", spreadLead: "How long the answers were and how long they took; the right ones are green.",
    lengths: "Completion tokens", times: "Seconds per request", median: "median", p90: "90th percentile", most: "maximum", mean: "mean", notTold: "Not recorded.", asTable: "as a table", from: "from", to: "to", right: "right", other: "other",
    failures: "What went wrong", failuresLead: "Reasons of all answers that were not right, the most frequent first.", outcome: "outcome", reason: "reason", count: "count", cut: "of them cut off by the limit of tokens", nothingWrong: "Nothing: every answer is right.",
    made: "How it was made", madeLead: "From the run's manifest: enough to make it again.", noManifest: "There is no manifest beside the file.", file: "file", key: "key", value: "value", again: "To make it again:", copy: "copy the command", copied: "copied",
    manifest: { format: "format of the manifest", identity: "what was asked, and how", dataset: "data set", served: "the server and its model", shard: "shard", n_samples: "samples per prompt", config: "config", version: "version", runs: "runs", totals: "totals" },
    outcomes: { correct: "correct", wrong: "wrong", empty: "empty", unreadable: "unreadable", no_answer: "no answer found", no_text: "no text", failed: "never answered" },
    gridLabel: (what, rows) => `${what}, ${rows.length} by ${rows[0].length}: ${rows.join(" / ")}`,
  },
  zh: {
    title: "答案得了多少分",
    score: "得分", accuracy: "准确率", interval: (c, by) => `${c} % 置信区间，${by === "wilson" ? "威尔逊法（各任务结果相同）" : "按任务自助法"}`, error: "标准误",
    samples: "答案数", of: "/", samplesOf: "任务按其全部样本计分，下面几行只数两次都有的样本：因此没有新增正确答案，任务也可能变好。",
    taskCount: "任务数", agreement: "一致性", majority: "多数表决", torn: "文件末行不完整，已略去。",
    unreadable: (n) => `${n} 行无法读取，已略去。`, withoutGen: (n) => `${n} 行缺少 "gen"。`, withoutAnswer: (n) => `${n} 行缺少 "answer"。`,
    toCome: (n) => `还差 ${n} 个答案：这是目前的得分。`,
    comparison: "与另一次运行比较", comparisonLead: "同样的题目，两次作答。区间是对两次都有的任务做配对自助法；符号检验回答：抛硬币会不会把任务分得同样不均。",
    thisRun: "本次", otherRun: "另一次", difference: "差", better: "变好的任务", worse: "变差的任务", pValue: "符号检验 p",
    gained: "仅本次正确", lost: "仅另一次正确", stop: "。", both: "两次都正确", neither: "两次都不正确", onlyHere: (n) => `${n} 个答案仅本次有`, onlyThere: (n) => `${n} 个仅另一次有`,
    tasks: "逐个任务", tasksLead: "每个方块是一个任务：绿色全对，红色全错，黄色介于其间。选择一个查看它的答案；可用方向键移动。",
    allRight: "全对", noneRight: "全错", someRight: "部分正确", taskText: (name, right, n) => `${name}：${n} 个中 ${right} 个正确`, moreTasks: (n) => `另有 ${n} 个任务未画出。`,
    answers: "逐个答案", answersLead: "筛选、选择、阅读：问了什么，想了什么，答了什么，如何评判。",
    filterAll: "全部", search: "任务或文字", found: (n, all) => `${all} 个答案中的 ${n} 个`, more: "显示更多", changedOnly: "有变化", oneTask: (name) => `任务 ${name} ×`,
    leftOut: (n) => `${n} 个正确答案不在本页中，可在文件中查看。`, withoutText: (n) => `${n} 个答案的文字不在本页中，可按行号在文件中查看。`,
    prediction: "预测", truth: "正确答案", wrongCells: (n) => `差异：${n} 格`, wrongSize: (a, b) => `差异：应为 ${b}，得到 ${a}`, none: "无", same: "差异：无",
    prompt: "题目", thinking: "思考", answer: "回答", otherAnswer: "另一次的回答", otherThinking: "另一次的思考", gridsOfPrompt: "题目中的网格", notHere: "不在本页中",
    promptTokens: "题目 token", tokens: "token", seconds: "秒", finish: "结束原因", line: "行", sample: "样本", promptNo: "题目", cutOff: "被截断",
    spread: "长度与时间", spreadLead: "答案有多长，用了多久；绿色为正确答案。",
    lengths: "生成 token 数", times: "每个请求的秒数", median: "中位数", p90: "九成不超过", most: "最大", mean: "平均", notTold: "没有记录。", asTable: "表格", from: "从", to: "到", right: "正确", other: "其他",
    failures: "哪里出了错", failuresLead: "所有不正确答案的原因，最常见的在前。", outcome: "结果", reason: "原因", count: "次数", cut: "其中因 token 上限被截断", nothingWrong: "没有：每个答案都正确。",
    made: "如何得到", madeLead: "来自运行清单，足以重做一遍。", noManifest: "文件旁没有清单。", file: "文件", key: "键", value: "值", again: "重做一遍：", copy: "复制命令", copied: "已复制",
    manifest: { format: "清单格式", identity: "问了什么，怎么问", dataset: "数据集", served: "服务器与模型", shard: "分片", n_samples: "每题样本数", config: "配置", version: "版本", runs: "各次运行", totals: "合计" },
    outcomes: { correct: "正确", wrong: "错误", empty: "空", unreadable: "无法解析", no_answer: "未找到答案", no_text: "没有文字", failed: "未作答" },
    gridLabel: (what, rows) => `${what}，${rows.length} 行 ${rows[0].length} 列：${rows.join(" / ")}`,
  },
};

// The reasons of eval/tasks and eval/score, for the Chinese page. What is no such sentence, such as the
// words of a server, stays as it is.
const kWhere = { "the whole text": "全文", "the last fenced block": "最后一个代码块", "an earlier fenced block": "较早的代码块", "the last array": "最后一个数组", "an array": "一个数组", "the content": "内容" };
const where = (text) => kWhere[text] || text;
const kReasons = [
  [/^(.*) \(cut off by the limit of tokens\)$/, (inner) => `${reasonText(inner)}（因 token 上限被截断）`],
  [/^another text(?:: (.*))?$/, (rest) => `另一段文字${rest === undefined ? "" : "：" + rest}`],
  [/^another answer(?:: (.*))?$/, (rest) => `另一个答案${rest === undefined ? "" : "：" + rest}`],
  [/^equal to (.*)$/, (value) => `等于 ${value}`],
  [/^equal$/, () => "相等"],
  [/^chose (.*); the answer is (.*)$/, (chosen, truth) => `选了 ${chosen}，答案是 ${truth}`],
  [/^chose (.*)$/, (chosen) => `选了 ${chosen}`],
  [/^(.*) is the answer$/, (found) => (found === "the text" ? "全文就是答案" : `${where(found)}就是答案`)],
  [/^(.*) is another grid$/, (found) => `${where(found)}是另一个网格`],
  [/^(.*) is another value(: .*)?$/, (found, rest) => `${where(found)}是另一个值${(rest || "").replace(/^: an? /, "：")}`],
  [/^(.*) is null$/, (found) => `${where(found)}为 null`],
  [/^(.*) is empty(?:: (.*))?$/, (found, rest) => (found === "the text" ? "文字为空" : `${where(found)}为空${rest === undefined ? "" : "：" + rest}`)],
  [/^(.*) is no JSON(?:: (.*))?$/, (found, rest) => `${where(found)}不是 JSON${rest === undefined ? "" : "：" + rest}`],
  [/^no JSON, no fenced block and no array in the text$/, () => "文字中没有 JSON、代码块或数组"],
  [/^the row has no answer to compare with$/, () => "该行没有可供比较的答案"],
  [/^neither attempt is the answer$/, () => "两次尝试都不是答案"],
  [/^the text is blank$/, () => "文字为空白"],
  [/^no number and no box in the text$/, () => "文字中没有数字，也没有 \\boxed"],
  [/^no letter from A to (.) stands out$/, (last) => `没有从 A 到 ${last} 的明确字母`],
  [/^the row has nothing in "gen"$/, () => "该行的 \"gen\" 为空"],
  [/^no content(?:: (.*))?$/, (rest) => `没有内容${rest === undefined ? "" : "：" + rest}`],
  [/^expected a text in "gen"; got (.*)$/, (got) => `"gen" 应为文字，得到 ${got}`],
  [/^the thinking never ends$/, () => "思考没有结束"],
  [/^(.*): missing in the text$/, (path) => `${path}：文字中没有`],
  [/^(.*): missing in the row's answer$/, (path) => `${path}：该行的答案中没有`],
  [/^(.*): missing$/, (path) => `${path}：缺失`],
  [/^(.*): not expected$/, (path) => `${path}：多余`],
  [/^(.*): expected (\d+) elements; got (\d+)$/, (path, truth, got) => `${path}：应有 ${truth} 个元素，得到 ${got} 个`],
  [/^(.*): expected (.*); got (.*)$/, (path, truth, got) => `${path}：应为 ${truth}，得到 ${got}`],
];
function reasonText(reason) {
  if (lang !== "zh") return reason;
  for (const [pattern, say] of kReasons) {
    const match = pattern.exec(reason);
    if (match) return say(...match.slice(1));
  }
  return reason;
}

section("score");
if (data.comparison) section("comparison");
section("tasks", make("div", { id: "tasks-legend", class: "bar-row" }), make("div", { id: "tasks-body", class: "task-map", role: "group", "aria-labelledby": "tasks-title" }),
  make("p", { id: "tasks-readout", class: "quiet" }));
section("answers", make("div", { id: "filters", class: "bar-row" }), make("div", { class: "browser" },
  make("div", {}, make("p", { id: "found", class: "quiet", "aria-live": "polite" }),
    make("div", { id: "list", class: "list", role: "listbox", tabindex: "0", "aria-labelledby": "answers-title" })),
  make("article", { id: "detail", tabindex: "-1" })));
for (const id of ["spread", "failures", "made"]) section(id);

// The members of a sample in the order in which they come (eval/report/report.cpp).
const kFields = ["prompt", "sample", "line", "outcome", "acc", "reason", "finish", "promptTokens", "tokens", "seconds", "prediction", "text", "thinking"];
const runs = data.runs.map((run) => ({
  ...run,
  samples: run.samples.map((values, index) => ({ index, ...Object.fromEntries(kFields.map((name, i) => [name, values[i]])) })),
  prompts: run.prompts.map(([task, number, text, truth]) => ({ task, number, text, truth })),
}));
const run = runs[0];
const partner = new Map(data.pairs || []);  // sample here -> sample of the other run
const kSigns = ["✓", "✗", "∅", "⚠", "?", "–", "!"];
const kMaxTasks = 5000, kPage = 200;

const state = { filter: "all", search: "", task: null, shown: kPage, chosen: addressed("answer", run.samples.length, Math.max(0, run.samples.findIndex((sample) => !(sample.acc > 0)))) };

const share = (value) => (value * 100).toFixed(2) + " %";
const outcomeName = (outcome) => t.outcomes[data.outcomes[outcome]];
const outcomeColour = (outcome) => `var(--o${outcome})`;
const taskName = (sample) => run.tasks[run.prompts[sample.prompt].task][0];
const otherOf = (sample) => (partner.has(sample.index) ? runs[1].samples[partner.get(sample.index)] : null);
const changed = (sample) => { const other = otherOf(sample); return other !== null && (other.acc > 0) !== (sample.acc > 0); };
const key = (colour, text) => make("span", { class: "key" }, make("i", { style: "background:" + colour, "aria-hidden": "true" }), text);

// The address that names SVG, made of the one that names HTML: a test holds that no address stands
// in a page.
const kSvg = make("div").namespaceURI.replace("1999/xhtml", "2000/svg");
function svg(tag, attributes, ...children) {
  const element = document.createElementNS(kSvg, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// A table of rows; a cell that is a number stands at the right.
function table(heads, rows) {
  const cell = (value) => make("td", typeof value === "number" ? { class: "n" } : {}, value === null ? "–" : value instanceof Node ? value : String(value));
  return make("div", { class: "scroll" }, make("table", {},
    make("thead", {}, make("tr", {}, ...heads.map((head, i) => make("th", { scope: "col", class: rows.length && typeof rows[0][i] === "number" ? "n" : "" }, head)))),
    make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map(cell))))));
}

// ---- the score -----------------------------------------------------------------------------------
// Zero to one, with the interval as a bar and the mean as a mark; one line a run.
function intervalChart(list) {
  const width = 480, left = 8, span = width - 2 * left, row = 30;
  const x = (value) => left + span * value;
  const chart = svg("svg", { viewBox: `0 0 ${width} ${row * list.length + 18}`, role: "img",
    "aria-label": list.map((one) => `${share(one.accuracy)} (${share(one.interval[0])} – ${share(one.interval[1])})`).join("; ") });
  list.forEach((one, i) => {
    const y = row * i + 15;
    chart.append(svg("line", { x1: x(0), x2: x(1), y1: y, y2: y, stroke: "var(--line)", "stroke-width": 2 }),
      svg("rect", { x: x(one.interval[0]), width: Math.max(2, x(one.interval[1]) - x(one.interval[0])), y: y - 5, height: 10, rx: 3, fill: i ? "var(--quiet)" : "var(--accent)", opacity: 0.45 }),
      svg("rect", { x: x(one.accuracy) - 1.5, width: 3, y: y - 10, height: 20, fill: i ? "var(--quiet)" : "var(--accent)" }));
  });
  for (const tick of [0, 0.25, 0.5, 0.75, 1]) {
    chart.append(svg("text", { x: x(tick), y: row * list.length + 12, "text-anchor": tick === 0 ? "start" : tick === 1 ? "end" : "middle" }, tick * 100 + " %"));
  }
  return make("div", { class: "interval" }, chart);
}
function notesOf(one) {
  const notes = [];
  if (one.n_expected !== null && one.n_samples < one.n_expected) notes.push(t.toCome(one.n_expected - one.n_samples));
  if (one.torn_line) notes.push(t.torn);
  if (one.unreadable_lines.length) notes.push(t.unreadable(one.unreadable_lines.length));
  if (one.lines_without_gen.length) notes.push(t.withoutGen(one.lines_without_gen.length));
  if (one.lines_without_answer.length) notes.push(t.withoutAnswer(one.lines_without_answer.length));
  if (one.left_out) notes.push(t.leftOut(one.left_out));
  if (one.without_text) notes.push(t.withoutText(one.without_text));
  return [...notes, ...one.notes].map((note) => make("p", { class: "note" }, note));
}
function drawScore() {
  const confidence = Math.round(run.confidence * 1e4) / 100;
  const fact = (name, value) => make("span", {}, name + " ", make("b", {}, value));
  const known = run.counts.map((n, outcome) => [outcome, n]).filter(([, n]) => n > 0);
  byId("score-body").replaceChildren(
    make("div", { class: "hero" }, make("div", {}, make("div", { class: "big" }, share(run.accuracy)), make("div", { class: "quiet" }, t.accuracy)), intervalChart(runs)),
    make("div", { class: "facts" },
      fact(t.interval(confidence, run.interval_by), `${share(run.interval[0])} – ${share(run.interval[1])}`), run.interval_by === "wilson" ? "" : fact(t.error, share(run.standard_error)),
      ...Object.entries(run.pass_at).map(([k, value]) => fact("pass@" + k, share(value))),
      run.agreement === null ? "" : fact(t.agreement, share(run.agreement)), run.majority_accuracy === null ? "" : fact(t.majority, share(run.majority_accuracy)),
      fact(t.taskCount, String(run.n_tasks)), fact(t.samples, run.n_expected === null ? String(run.n_samples) : `${run.n_samples} ${t.of} ${run.n_expected}`)),
    make("div", { class: "stack", "aria-hidden": "true" }, ...known.map(([outcome, n]) => make("i", { style: `flex:${n};background:${outcomeColour(outcome)}` }))),
    make("div", { class: "facts" }, ...known.map(([outcome, n]) => key(outcomeColour(outcome), `${outcomeName(outcome)} ${n} (${(n / run.n_samples * 100).toFixed(1)} %)`))),
    ...notesOf(run));
}

// ---- comparison ----------------------------------------------------------------------------------
function drawComparison() {
  if (!data.comparison) return;
  const c = data.comparison;
  const signed = (value) => (value > 0 ? "+" : "") + share(value);
  const look = (name, n, filter) => make("button", { type: "button", onclick: () => { setFilter(filter); byId("answers").scrollIntoView(); } }, `${name}: ${n}`);
  byId("comparison-body").replaceChildren(
    table(["", t.file, t.accuracy], [[t.thisRun, run.name, share(c.ours)], [t.otherRun, runs[1].name, share(c.other)],
      [t.difference, "", `${signed(c.difference)} (${signed(c.interval[0])} … ${signed(c.interval[1])})`]]),
    make("div", { class: "facts" }, ...[[t.taskCount, c.n_tasks], [t.better, c.tasks_better], [t.worse, c.tasks_worse], [t.pValue, number(c.p_value)]].map(([name, value]) =>
      make("span", {}, name + " ", make("b", {}, String(value))))),
    make("div", { class: "bar-row" }, look(t.gained, c.ours_right, "gained"), look(t.lost, c.other_right, "lost"),
      make("span", { class: "quiet" }, `${t.both}: ${c.both_right} · ${t.neither}: ${c.neither_right}`)),
    c.n_ours_only + c.n_other_only > 0 ? make("p", { class: "note" }, `${t.onlyHere(c.n_ours_only)}${t.comma}${t.onlyThere(c.n_other_only)}${t.stop} ${t.samplesOf}`) : "",
    ...notesOf(runs[1]));
}

// ---- tasks ---------------------------------------------------------------------------------------
const taskColour = ([, score]) => (score >= 1 ? "var(--o0)" : score <= 0 ? "var(--o1)" : "var(--half)");
function drawTasks() {
  const tasks = run.tasks.slice(0, kMaxTasks);
  byId("tasks-legend").replaceChildren(key("var(--o0)", t.allRight), key("var(--half)", t.someRight), key("var(--o1)", t.noneRight));
  const current = state.task === null ? 0 : state.task;
  byId("tasks-body").replaceChildren(...tasks.map((task, index) => make("button", {
    type: "button", style: "background:" + taskColour(task), tabindex: index === current ? "0" : "-1", "aria-current": String(index === state.task),
    "aria-label": t.taskText(task[0], task[3], task[2]), title: t.taskText(task[0], task[3], task[2]), onclick: () => chooseTask(index),
  })));
  byId("tasks-readout").textContent = state.task !== null ? t.taskText(run.tasks[state.task][0], run.tasks[state.task][3], run.tasks[state.task][2])
    : run.tasks.length > kMaxTasks ? t.moreTasks(run.tasks.length - kMaxTasks) : "";
}
function chooseTask(index) {
  state.task = state.task === index ? null : index;
  state.filter = "all";
  drawTasks();
  const button = byId("tasks-body").children[index];
  if (button) button.focus({ preventScroll: true });
  drawFilters();
  drawList(true);
}
byId("tasks-body").addEventListener("keydown", (event) => {
  const buttons = [...byId("tasks-body").children];
  const at = buttons.indexOf(document.activeElement);
  if (at < 0) return;
  // Up and down go to the square that lies above or below.
  const top = buttons[at].offsetTop, perRow = buttons.findIndex((one) => one.offsetTop > buttons[0].offsetTop);
  const row = perRow > 0 ? perRow : buttons.length;
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: top > buttons[0].offsetTop ? -row : 0, ArrowDown: row }[event.key];
  if (step === undefined) return;
  event.preventDefault();
  const next = buttons[Math.max(0, Math.min(buttons.length - 1, at + step))];
  buttons[at].tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
});

// ---- the list of answers -------------------------------------------------------------------------
const kFilters = {
  all: () => true,
  changed,
  gained: (sample) => changed(sample) && sample.acc > 0,
  lost: (sample) => changed(sample) && sample.acc === 0,
};
function matches(sample) {
  if (state.task !== null && run.prompts[sample.prompt].task !== state.task) return false;
  const byOutcome = data.outcomes.indexOf(state.filter);
  if (byOutcome >= 0 ? sample.outcome !== byOutcome : !kFilters[state.filter](sample)) return false;
  if (state.search === "") return true;
  const wanted = state.search.toLowerCase();
  return [taskName(sample), reasonText(sample.reason), sample.text, sample.thinking].some((text) => text !== null && text.toLowerCase().includes(wanted));
}
let found = [];
function setFilter(filter) {
  state.filter = filter;
  state.task = null;
  drawTasks();
  drawFilters();
  drawList(true);
}
function drawFilters() {
  const options = [["all", t.filterAll], ...run.counts.map((n, outcome) => [data.outcomes[outcome], `${outcomeName(outcome)} ${n}`, n]).filter(([, , n]) => n > 0),
    ...(data.comparison ? [["gained", t.gained], ["lost", t.lost], ["changed", t.changedOnly]] : [])];
  const search = make("input", { type: "search", placeholder: t.search, "aria-label": t.search, value: state.search,
    oninput: (event) => { state.search = event.target.value; drawList(true); } });
  byId("filters").replaceChildren(make("span", { class: "segment", role: "group" }, ...options.map(([name, text]) => make("button", {
    type: "button", "aria-pressed": String(state.filter === name), onclick: () => setFilter(name) }, text))), search,
    state.task === null ? "" : make("button", { type: "button", onclick: () => chooseTask(state.task) }, t.oneTask(run.tasks[state.task][0])));
}
// `fresh`: the filter has changed, so that the first one found is chosen.
function drawList(fresh) {
  found = run.samples.filter(matches);
  if (fresh) { state.shown = kPage; state.chosen = found.length ? found[0].index : -1; }
  byId("found").textContent = t.found(found.length, run.samples.length);
  const rows = found.slice(0, state.shown).map((sample) => make("div", {
    class: "row", role: "option", id: "row-" + sample.index, "aria-selected": String(sample.index === state.chosen), onclick: () => choose(sample.index) },
    make("span", { class: "sign", style: "color:" + outcomeColour(sample.outcome), title: outcomeName(sample.outcome) }, kSigns[sample.outcome]),
    make("span", { class: "what" }, make("span", { class: "unseen" }, outcomeName(sample.outcome) + " "), taskName(sample)),
    changed(sample) ? make("span", { class: "n", title: t.changedOnly }, sample.acc > 0 ? "▲" : "▼") : "",
    make("span", { class: "n" }, sample.tokens === null ? "" : String(sample.tokens))));
  if (found.length > state.shown) rows.push(make("div", { class: "row" }, make("button", { type: "button", onclick: () => { state.shown += kPage; drawList(false); } }, t.more)));
  byId("list").replaceChildren(...rows);
  drawDetail();
}
function choose(index) {
  const before = byId("row-" + state.chosen), now = byId("row-" + index);
  if (before) before.setAttribute("aria-selected", "false");
  state.chosen = index;
  if (now) { now.setAttribute("aria-selected", "true"); now.scrollIntoView({ block: "nearest" }); }
  byId("list").setAttribute("aria-activedescendant", "row-" + index);
  keepInAddress({ answer: index });
  drawDetail();
}
byId("list").addEventListener("keydown", (event) => {
  const at = found.findIndex((sample) => sample.index === state.chosen);
  const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: found.length - 1, PageDown: at + 12, PageUp: at - 12 }[event.key];
  if (next === undefined || found.length === 0) return;
  event.preventDefault();
  const to = Math.max(0, Math.min(found.length - 1, next));
  if (to >= state.shown) { state.shown = to + kPage; drawList(false); }
  choose(found[to].index);
});

// ---- one answer ----------------------------------------------------------------------------------
// The usual ten colours of ARC, and which of them black digits are read on.
const kColours = ["#000000", "#0074d9", "#ff4136", "#2ecc40", "#ffdc00", "#aaaaaa", "#f012be", "#ff851b", "#7fdbff", "#870c25"];
const kBright = new Set([3, 4, 5, 7, 8]);
const isGrid = (value) => Array.isArray(value);

// `against`: only cells that differ from that grid are drawn in full.
function gridFigure(caption, rows, against, small) {
  const columns = Math.max(...rows.map((row) => row.length));
  const cell = Math.max(small ? 5 : 9, Math.min(small ? 11 : 26, Math.floor((small ? 120 : 260) / Math.max(columns, rows.length))));
  const picture = svg("svg", { width: columns * cell, height: rows.length * cell, viewBox: `0 0 ${columns * cell} ${rows.length * cell}`, role: "img", "aria-label": t.gridLabel(caption, rows) });
  rows.forEach((row, r) => [...row].forEach((digit, c) => {
    const same = against && against[r] !== undefined && against[r][c] === digit;
    picture.append(svg("rect", { x: c * cell, y: r * cell, width: cell - 1, height: cell - 1, fill: kColours[digit], opacity: same ? 0.18 : 1 }));
    if (against && !same) picture.append(svg("rect", { x: c * cell + 1, y: r * cell + 1, width: cell - 3, height: cell - 3, fill: "none", stroke: "var(--mark)", "stroke-width": 2 }));
    if (cell >= 16 && !same) {
      picture.append(svg("text", { x: (c + 0.5) * cell - 0.5, y: (r + 0.5) * cell + 3.5, "text-anchor": "middle", style: `fill:${kBright.has(Number(digit)) ? "#000" : "#fff"}` }, digit));
    }
  }));
  return make("figure", {}, make("figcaption", {}, caption), picture);
}
function valueFigure(caption, value) {
  if (isGrid(value)) return gridFigure(caption, value);
  return make("figure", {}, make("figcaption", {}, caption), make("pre", { class: "value" }, value === null ? t.none : value));
}
function differenceFigure(prediction, truth) {
  if (!isGrid(prediction) || !isGrid(truth)) return "";
  const sizeOf = (rows) => { const widths = new Set(rows.map((row) => row.length)); return `${rows.length} × ${widths.size === 1 ? rows[0].length : "?"}`; };
  if (sizeOf(prediction) !== sizeOf(truth)) return gridFigure(t.wrongSize(sizeOf(prediction), sizeOf(truth)), prediction, truth);
  const n = prediction.reduce((sum, row, r) => sum + [...row].filter((digit, c) => digit !== (truth[r] || "")[c]).length, 0);
  return gridFigure(n === 0 ? t.same : t.wrongCells(n), prediction, truth);
}
// Every array of digits in a prompt, named by the last "input" or "output" before it.
function gridsIn(text) {
  const figures = [];
  for (const match of text.matchAll(/\[\s*\[[\d,[\]\s]*\]\s*\]/g)) {
    let rows;
    try { rows = JSON.parse(match[0]); } catch { continue; }
    if (!rows.every((row) => Array.isArray(row) && row.length > 0 && row.every((value) => Number.isInteger(value) && value >= 0 && value <= 9))) continue;
    // Two by two zeros behind the end of a sentence are how the prompt shows the form of an answer.
    const form = rows.length === 2 && rows.every((row) => row.length === 2 && row.every((value) => value === 0));
    if (form && /:\s*(```\w*\s*)?$/.test(text.slice(0, match.index)) && !/"(input|output)":\s*$/.test(text.slice(0, match.index))) continue;
    const before = [...text.slice(0, match.index).matchAll(/input|output/gi)].pop();
    figures.push(gridFigure(before ? before[0].toLowerCase() : "", rows.map((row) => row.join("")), null, true));
    if (figures.length === 24) break;
  }
  return figures;
}
function fold(title, text, open) {
  if (text === "") return "";
  const details = make("details", {}, make("summary", {}, title), make("div", { class: "inside" }, make("pre", {}, text === null ? t.notHere : text)));
  details.open = open;
  return details;
}
function drawDetail() {
  const detail = byId("detail");
  const sample = run.samples[state.chosen];
  if (!sample) { detail.replaceChildren(); return; }
  const prompt = run.prompts[sample.prompt], other = otherOf(sample);
  const facts = [[t.sample, sample.sample], [t.promptTokens, sample.promptTokens], [t.tokens, sample.tokens], [t.seconds, sample.seconds === null ? null : number(sample.seconds)],
    [t.finish, sample.finish || null], [t.line, sample.line]].filter(([, value]) => value !== null);
  const verdict = (one) => make("p", {}, key(outcomeColour(one.outcome), `${kSigns[one.outcome]} ${outcomeName(one.outcome)}`), one.reason ? " — " + reasonText(one.reason) : "");
  const grids = prompt.text === null ? [] : gridsIn(prompt.text);
  detail.replaceChildren(
    make("h3", {}, taskName(sample) + (prompt.number > 0 ? ` · ${t.promptNo} ${prompt.number}` : "")),
    verdict(sample),
    make("div", { class: "facts" }, ...facts.map(([name, value]) => make("span", {}, name + " ", make("b", {}, String(value))))),
    make("div", { class: "grids" }, valueFigure(t.prediction, sample.prediction), valueFigure(t.truth, prompt.truth), differenceFigure(sample.prediction, prompt.truth)),
    ...(other ? [make("h3", {}, t.otherRun), verdict(other),
      make("div", { class: "grids" }, valueFigure(t.prediction, other.prediction), differenceFigure(other.prediction, prompt.truth))] : []),
    fold(t.answer, sample.text, true), fold(t.thinking, sample.thinking, false),
    ...(other ? [fold(t.otherAnswer, other.text, true), fold(t.otherThinking, other.thinking, false)] : []),
    grids.length ? make("details", {}, make("summary", {}, t.gridsOfPrompt), make("div", { class: "inside" }, make("div", { class: "grids" }, ...grids))) : "",
    fold(t.prompt, prompt.text, false));
}

// ---- lengths and times ---------------------------------------------------------------------------
// Four digits, and no powers of ten for what people count.
const brief = (value) => (value >= 1000 && value < 1e9 ? String(Math.round(value)) : String(Number(value.toPrecision(4))));
function barChart(title, spread) {
  const bars = spread.right.map((right, i) => [right, spread.other[i]]);
  const width = 640, height = 170, bottom = 22, most = Math.max(1, ...bars.map(([right, other]) => right + other));
  const step = width / bars.length, y = (n) => (height - bottom - 14) * n / most;
  const chart = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title });
  const every = Math.ceil(bars.length / 10);
  bars.forEach(([right, other], i) => {
    const base = height - bottom;
    chart.append(svg("rect", { x: i * step + 1, width: Math.max(1, step - 2), y: base - y(right), height: y(right), fill: "var(--o0)" }),
      svg("rect", { x: i * step + 1, width: Math.max(1, step - 2), y: base - y(right) - y(other), height: y(other), fill: "var(--o4)" }));
    if (right + other > 0 && bars.length <= 24) chart.append(svg("text", { x: (i + 0.5) * step, y: base - y(right + other) - 4, "text-anchor": "middle" }, String(right + other)));
  });
  chart.append(svg("line", { x1: 0, x2: width, y1: height - bottom, y2: height - bottom, stroke: "var(--line)" }));
  spread.edges.forEach((edge, i) => {
    if (i % every === 0) chart.append(svg("text", { x: Math.max(2, Math.min(width - 2, i * step)), y: height - 7, "text-anchor": i === 0 ? "start" : i === bars.length ? "end" : "middle" }, brief(edge)));
  });
  const summary = [[t.median, spread.median], [t.p90, spread.p90], [t.most, spread.max], [t.mean, spread.mean]];
  return make("div", { class: "bars" }, make("h3", {}, title),
    make("div", { class: "bar-row" }, key("var(--o0)", t.right), key("var(--o4)", t.other)), make("div", { class: "scroll" }, chart),
    make("div", { class: "facts" }, ...summary.map(([name, value]) => make("span", {}, name + " ", make("b", {}, brief(value))))),
    make("details", { style: "margin-top:.6rem" }, make("summary", {}, `${title}: ${t.asTable}`), make("div", { class: "inside" },
      table([t.from, t.to, t.right, t.other], bars.map(([right, other], i) => [brief(spread.edges[i]), brief(spread.edges[i + 1]), right, other])))));
}
function drawSpread() {
  byId("spread-body").replaceChildren(...[[t.lengths, "lengths"], [t.times, "times"]].flatMap(([title, what]) => runs.map((one, i) => {
    const name = runs.length > 1 ? `${title} · ${i ? t.otherRun : t.thisRun}` : title;
    return one[what] === null ? make("div", {}, make("h3", {}, name), make("p", { class: "quiet" }, t.notTold)) : barChart(name, one[what]);
  })));
}

// ---- what went wrong, and how it was made --------------------------------------------------------
function drawFailures() {
  const rows = run.reasons.map(([outcome, reason, n, cut]) => [key(outcomeColour(outcome), outcomeName(outcome)), reasonText(reason), n, cut]);
  byId("failures-body").replaceChildren(rows.length ? table([t.outcome, t.reason, t.count, t.cut], rows) : make("p", { class: "quiet" }, t.nothingWrong));
}
// A JSON object as rows "a.b.c", value.
function flat(value, path, rows) {
  if (value !== null && typeof value === "object" && Object.keys(value).length > 0) {
    for (const [name, inner] of Object.entries(value)) flat(inner, path === "" ? name : `${path}.${name}`, rows);
  } else {
    rows.push([path, typeof value === "object" ? JSON.stringify(value) : String(value)]);
  }
  return rows;
}
// The command that makes the run again, as far as the manifest knows it: the model is `served`.
function commandOf(manifest) {
  if (!manifest.config || typeof manifest.config.file !== "string") return null;
  const word = (text) => (/^[\w./:@%+=-]+$/.test(text) ? text : "'" + text.replace(/'/g, "'\\''") + "'");
  const parts = ["qwen3 eval run --config", word(manifest.config.file)];
  if (Array.isArray(manifest.shard)) parts.push("--shard", manifest.shard.join("/"));
  if (manifest.identity && manifest.identity.mode === "strict") parts.push("--strict");
  return parts.join(" ");
}
function commandRow(command) {
  const text = make("code", { class: "mono", tabindex: "0" }, command);
  const select = () => getSelection().selectAllChildren(text);
  const button = make("button", { type: "button", onclick: () => {
    select();  // where a page may not write to the clipboard, Ctrl-C is left to do
    if (navigator.clipboard) navigator.clipboard.writeText(command).then(() => { button.textContent = t.copied; }, () => {});
  } }, t.copy);
  return make("div", { class: "bar-row" }, make("span", { class: "quiet" }, t.again), text, button);
}
function manifestTables(manifest) {
  return Object.entries(manifest).map(([name, value]) => make("div", {}, make("h4", {}, t.manifest[name] || name), table([t.key, t.value], flat(value, "", []).map(([path, text]) => [path || name, text]))));
}
function drawMade() {
  byId("made-body").replaceChildren(...runs.flatMap((one) => {
    if (one.manifest === null) return [make("h3", {}, one.name), make("p", { class: "quiet" }, t.noManifest)];
    const command = commandOf(one.manifest);
    return [make("h3", {}, one.name), command === null ? "" : commandRow(command), make("div", { class: "kv" }, ...manifestTables(one.manifest))];
  }));
}

startPage({
  name: `${data.task} · qwen3 eval`, subtitle: () => `${data.task} · ${runs.map((one) => one.name).join(" ↔ ")}`,
  draw() { drawScore(); drawComparison(); drawTasks(); drawFilters(); drawList(false); drawSpread(); drawFailures(); drawMade(); },
});
