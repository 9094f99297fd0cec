// One answer: from the request to the message of the tree, as its stream comes. The views are told at
// most once per frame; what they get is what is new.

// Reads chunks into `node`; `rows` (of the experts) and ids last as long as the page.
//   onText(text), onReasoning(text), onTokens([token]), onRows([row]), onProgress(progress)
function makeAnswerReader(node, view, state = { ids: [], placed: 0, rows: [], shape: null }) {
  const started = performance.now();
  let firstToken = 0, nTokens = 0;
  function readIds(choice) {
    const ids = Array.isArray(choice.token_ids) ? choice.token_ids : [];
    const begin = state.ids.length;
    state.ids.push(...ids);
    nTokens += ids.length;
    return { begin, count: ids.length };
  }
  function readTokens(choice, begin) {
    const entries = choice.logprobs && Array.isArray(choice.logprobs.content) ? choice.logprobs.content : [];
    if (entries.length === 0) return;
    const tokens = entries.map(readToken);
    state.placed = placeTokens(tokens, state.ids, state.placed > 0 ? state.placed : begin);
    node.tokens ??= [];
    node.tokens.push(...tokens);
    // Those that are shown as text need no alternatives.
    const old = node.tokens.length - maxTokenSpans;
    for (let i = Math.max(0, old - tokens.length); i < old; ++i) node.tokens[i].top = [];
    view.onTokens(tokens);
  }
  function readExperts(choice, count) {
    if (choice.routed_experts_shape) state.shape = choice.routed_experts_shape;
    const rows = choice.routed_experts ? readRouting(choice.routed_experts, state.shape, count) : [];
    if (rows.length === 0) return;
    state.rows.push(...rows);
    view.onRows(rows, state.shape);
  }
  function readCalls(calls) {
    for (const call of calls) {
      node.calls ??= [];
      const known = (node.calls[call.index ?? node.calls.length] ??= { id: call.id || newId(), name: "", arguments: "" });
      known.name += (call.function && call.function.name) || "";
      known.arguments += (call.function && call.function.arguments) || "";
    }
    view.onCalls();
  }
  function readChoice(choice) {
    const delta = choice.delta || {};
    const { begin, count } = readIds(choice);
    const thought = delta.reasoning_content || delta.reasoning || "";
    if (firstToken === 0 && (count > 0 || thought || delta.content)) firstToken = performance.now();
    if (thought) { node.reasoning = (node.reasoning || "") + thought; view.onReasoning(thought); }
    if (delta.content) { node.content += delta.content; view.onText(delta.content); }
    readTokens(choice, begin);
    readExperts(choice, count);
    if (delta.tool_calls) readCalls(delta.tool_calls);
    if (choice.finish_reason) node.finish = choice.finish_reason;
    if (choice.finish_detail) node.finish_detail = choice.finish_detail;
  }
  function readUsage(usage) {
    node.prompt_tokens = usage.prompt_tokens;
    node.answer_tokens = usage.completion_tokens;
    node.cached_tokens = (usage.prompt_tokens_details || {}).cached_tokens || 0;
    const thought = (usage.completion_tokens_details || {}).reasoning_tokens || 0;
    if (thought > 0) node.thought_tokens = thought;  // an answer that goes on keeps its thought
    nTokens = usage.completion_tokens;
    const seconds = (performance.now() - firstToken) / 1000;
    // Pieces that came together say nothing of the speed.
    if (firstToken > 0 && nTokens > 1 && seconds > 0.05) node.rate = (nTokens - 1) / seconds;
  }
  return (chunk) => {
    if (typeof chunk.id === "string") node.answer_id = chunk.id;
    if (chunk.prompt_progress) view.onProgress(chunk.prompt_progress, performance.now() - started);
    for (const choice of chunk.choices || []) if (!choice.index) readChoice(choice);
    if (chunk.usage) readUsage(chunk.usage);
  };
}

// Asks for the answer `node` and reads it. Never throws: what went wrong is `node.error`.
async function answer(body, node, view, abort, state) {
  delete node.error;
  delete node.finish;
  delete node.finish_detail;
  delete node.rate;
  node.model = body.model;
  const read = makeAnswerReader(node, view, state);
  const raw = makeTranscript(body);
  try {
    await streamAnswer(body, abort.signal, (chunk) => { raw.add(chunk); read(chunk); });
  } catch (error) {
    if (error.name === "AbortError") node.finish = "stopped";
    else {
      node.error = error.message;
      node.error_param = error.param || "";
    }
  }
  raw.end();
}

// The last request and what came, for the panel: the newest 200 kB.
const mostTranscript = 200 << 10;
let lastExchange = null;  // {body, chunks: [text], bytes, cut}
function makeTranscript(body) {
  const exchange = { body, chunks: [], bytes: 0, cut: false, from: 0, over: false };
  lastExchange = exchange;
  return {
    add(chunk) {
      const text = JSON.stringify(chunk);
      exchange.chunks.push(text);
      exchange.bytes += text.length;
      while (exchange.bytes > mostTranscript) {
        exchange.bytes -= exchange.chunks[exchange.from].length;
        exchange.chunks[exchange.from++] = "";
        exchange.cut = true;
      }
    },
    end() { exchange.over = true; },
  };
}
function transcriptText(exchange) { return exchange.chunks.slice(exchange.from).join("\n"); }
