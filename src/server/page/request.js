// A request for an answer, the reading of its stream, and the same request as a command. Pure.
const samplingFields = {  // name: [least, most, step of the slider]; what is not set is the server's business
  temperature: [0, 2, 0.05], top_p: [0, 1, 0.01], top_k: [0, 200, 1], min_p: [0, 1, 0.01],
  presence_penalty: [-2, 2, 0.1], repetition_penalty: [0.5, 2, 0.01],
};
const defaultSettings = {
  preset: "", temperature: null, top_p: null, top_k: null, min_p: null, presence_penalty: null, repetition_penalty: null,
  seed: null, max_tokens: null, thinking: "auto", thinking_budget: null, system: "", tools: "", schema: "",
  record_tokens: true, record_trace: false, show_tokens: false, language: "", theme: "", sidebar: true,
};
// Settings out of the store: only what has its type.
function readSettings(stored) {
  const settings = { ...defaultSettings };
  for (const [name, value] of Object.entries(stored || {})) {
    if (!(name in defaultSettings)) continue;
    const type = typeof defaultSettings[name];
    if (defaultSettings[name] === null ? value === null || Number.isFinite(value) : typeof value === type) settings[name] = value;
  }
  return settings;
}

// What /v1/models says of the model that is served.
function readFeatures(model) {
  const meta = model.meta || {};
  const presets = meta.presets !== null && typeof meta.presets === "object" ? meta.presets : {};
  const defaults = meta.sampling_defaults !== null && typeof meta.sampling_defaults === "object" ? meta.sampling_defaults : {};
  return {
    name: String(model.id), task: model.task || "generate", context: model.max_model_len || 0, parameters: meta.n_params || 0,
    presets, defaults, experts: meta.routed_experts === true, thinking: meta.thinking_switch === true, traces: meta.traces === true,
    metrics: meta.metrics === true, control: meta.reasoning_control === true, progress: meta.progress === true,
  };
}

// JSON of a text field; {value, error}. Empty is no value. kind: "array" or "object".
function readJsonField(text, kind) {
  if (text.trim() === "") return {};
  try {
    const value = JSON.parse(text);
    const right = kind === "array" ? Array.isArray(value) : value !== null && typeof value === "object" && !Array.isArray(value);
    return right ? { value } : { error: say(kind === "array" ? "notArray" : "notObject") };
  } catch (error) {
    return { error: say("badJson", { why: error.message }) };
  }
}

// path: the messages so far. continued: the last of them is the beginning of the answer.
function makeRequest(path, settings, features, continued) {
  const body = {
    model: features.name, messages: apiMessages(path, settings.system), stream: true,
    stream_options: { include_usage: true, continuous_usage_stats: true },
  };
  for (const name of [...Object.keys(samplingFields), "seed", "max_tokens"]) if (settings[name] !== null) body[name] = settings[name];
  if (features.thinking && settings.thinking !== "auto") body.chat_template_kwargs = { enable_thinking: settings.thinking === "on" };
  if (settings.thinking_budget !== null && settings.thinking !== "off") body.thinking_token_budget = settings.thinking_budget;
  const tools = readJsonField(settings.tools, "array").value;
  if (tools && tools.length > 0) body.tools = tools;
  const schema = readJsonField(settings.schema, "object").value;
  if (schema) body.response_format = { type: "json_schema", json_schema: { name: "answer", schema, strict: true } };
  if (settings.record_tokens) Object.assign(body, { logprobs: true, top_logprobs: 5, return_token_ids: true });
  if (settings.record_trace && features.traces) body.trace = true;
  if (features.experts) body.return_routed_experts = true;
  if (features.progress) body.return_progress = true;
  if (features.control) body.reasoning_control = true;
  if (continued) Object.assign(body, { continue_final_message: true, add_generation_prompt: false });
  return body;
}

// What reads `path` once more, its answer at the end included, so that it is recorded.
function makeTraceRequest(path, settings, features) {
  const { model, messages, chat_template_kwargs, tools } = makeRequest(path, settings, features, false);
  const body = { model, messages, chat_template_kwargs, tools, max_tokens: 1, trace: true };
  const last = path[path.length - 1];
  if (!(last.calls && last.calls.length)) Object.assign(body, { continue_final_message: true, add_generation_prompt: false });
  return body;
}

// The request as a command of a POSIX shell; the key stays a variable.
function asCurl(body, origin, keyed) {
  const quoted = (text) => "'" + text.replaceAll("'", "'\\''") + "'";
  const key = keyed ? " -H \"authorization: Bearer $API_KEY\"" : "";
  return `curl -N ${quoted(origin + "/v1/chat/completions")} -H 'content-type: application/json'${key} \\\n  -d ${quoted(JSON.stringify(body))}`;
}

// Server-sent events out of text in any pieces: push(text) -> the data of those that are complete.
function makeEventReader() {
  let rest = "";
  return (text) => {
    rest += text;
    const events = [];
    const parts = rest.split(/\r?\n\r?\n/);
    rest = parts.pop();
    for (const part of parts) {
      const data = part.split(/\r?\n/).filter((line) => line.startsWith("data:")).map((line) => line.slice(5).replace(/^ /, ""));
      if (data.length > 0) events.push(data.join("\n"));
    }
    return events;
  };
}
// The message of an error as the API gives it, whatever came.
function errorOf(body, status) {
  const error = body && typeof body === "object" ? body.error : null;
  if (error && typeof error.message === "string") {
    return { message: error.message, code: textOr(error.code, ""), param: textOr(error.param, "") };
  }
  return { message: `HTTP ${status}`, code: "", param: "" };
}
