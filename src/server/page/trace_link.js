// One click to what happened inside the model: the report of the trace of an answer, in a tab of its own.
// An answer that was not recorded while it was written is read once more, with what was said before, and
// that is recorded. With a key, which no address may carry, the tab opens by a ticket that is good for once.
async function openTrace(node) {
  if (!app.features.traces) {
    if (await ask({ title: say("traceOffTitle"), text: say("traceOff"), ok: say("copyCommand") })) copyText("qwen3 serve --traces 8");
    return;
  }
  const tab = window.open("", "_blank");  // now: a browser lets nobody open one later
  if (!tab) { toast(say("tracePopup")); return; }
  tab.opener = null;
  tab.document.title = say("trace");
  tab.document.documentElement.style.setProperty("color-scheme", document.documentElement.dataset.theme);
  tab.document.body.append(say("traceReading"));
  try {
    tab.location.replace(await traceReport(node));
  } catch (error) {
    tab.close();
    toast(error.message);
  }
}
async function traceReport(node) {
  if (node.trace_id) {
    try { return await reportAddress(node.trace_id); } catch (error) { if (error.status !== 404) throw error; }
  }
  node.trace_id = await recordTrace(node);
  saveNodes(app.tree, node).catch(() => { /* it is read once more after a reload */ });
  return reportAddress(node.trace_id);
}
async function reportAddress(id) {
  const path = `/v1/traces/${encodeURIComponent(id)}`;
  const ticket = await (await fetchApi(path + "/ticket", { body: "{}" })).json();
  return `${apiKey === "" ? path + "/report?" : ticket.url + "&"}lang=${language}`;
}
async function recordTrace(node) {
  const body = makeTraceRequest(pathTo(app.tree, node.id), app.settings, app.features);
  return (await (await fetchApi("/v1/chat/completions", { body: JSON.stringify(body) })).json()).id;
}
