// The API of the server. The key lives in this variable and in the header of requests, nowhere else.
let apiKey = "";

class ApiFailure extends Error {
  constructor({ message, code, param }, status) {
    super(message);
    Object.assign(this, { code, param, status });
  }
}
let keyQuestion = null;  // one at a time, however many requests wait for it
function askForKey() {
  keyQuestion ??= ask({
    title: say("keyTitle"), text: apiKey === "" ? say("keyText") : say("keyWrong") + " " + say("keyText"),
    field: { type: "password", value: "", label: say("keyLabel") }, ok: say("keyUse"),
  }).then((key) => {
    keyQuestion = null;
    if (key === null || key.trim() === "") return false;
    apiKey = key.trim();
    return true;
  });
  return keyQuestion;
}
// The answer of the server when it is a good one. Asks for a key where one is needed; throws
// ApiFailure with the server's words, or DOMException{AbortError}.
async function fetchApi(path, options = {}) {
  for (;;) {
    const headers = { ...(options.body ? { "content-type": "application/json" } : {}), ...(apiKey ? { authorization: "Bearer " + apiKey } : {}) };
    const used = apiKey;
    let response;
    try {
      response = await fetch(path, { method: options.body ? "POST" : "GET", headers, body: options.body, signal: options.signal, cache: "no-store", credentials: "omit", referrerPolicy: "no-referrer" });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new ApiFailure({ message: say("offline"), code: "offline", param: "" }, 0);
    }
    if (response.ok) return response;
    const body = await response.json().catch(() => null);
    if (response.status === 401 && (used !== apiKey || await askForKey())) continue;
    throw new ApiFailure(errorOf(body, response.status), response.status);
  }
}
async function fetchModels() {
  const list = await (await fetchApi("/v1/models")).json();
  return list.data.map((model) => readFeatures(model));
}
// One answer as a stream: onChunk(object) for each event. Throws as fetchApi does, and ApiFailure for
// an error in the stream. Ends early, without an error, when the signal says so.
async function streamAnswer(body, signal, onChunk) {
  const response = await fetchApi("/v1/chat/completions", { body: JSON.stringify(body), signal });
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  const events = makeEventReader();
  let turn = performance.now();
  for (;;) {
    const { done, value } = await reader.read().catch((error) => {
      if (error.name === "AbortError") throw error;
      throw new ApiFailure({ message: say("failed"), code: "broken", param: "" }, 0);
    });
    if (done) throw new ApiFailure({ message: say("failed"), code: "broken", param: "" }, 0);
    for (const data of events(decoder.decode(value, { stream: true }))) {
      if (data === "[DONE]") return;
      const chunk = JSON.parse(data);
      if (chunk.error) throw new ApiFailure(errorOf(chunk, response.status), response.status);
      onChunk(chunk);
      // What comes faster than it can be shown leaves the page its turns, and Stop its effect.
      if (performance.now() - turn > 30) {
        await new Promise((go) => { setTimeout(go, 0); });
        signal.throwIfAborted();
        turn = performance.now();
      }
    }
  }
}
async function endThought(id) {
  const response = await fetchApi("/v1/chat/completions/control", { body: JSON.stringify({ id, action: "reasoning_end" }) });
  return (await response.json()).success === true;
}
// {running, waiting} of the server's requests, or null.
async function fetchQueue() {
  const text = await (await fetchApi("/metrics")).text();
  const value = (name) => Number((new RegExp(`^qwen3_num_requests_${name} (\\d+)`, "m").exec(text) || [])[1]);
  const queue = { running: value("running"), waiting: value("waiting") };
  return Number.isFinite(queue.running) && Number.isFinite(queue.waiting) ? queue : null;
}
