// Long texts beside the message box, not in it, where they would stop the page: pasted ones, and text files
// that are dropped. They go out behind the message.
const longPaste = 20000;
const attached = [];  // {name, text}

function attach(name, text) {
  attached.push({ name, text });
  drawAttached();
}
function drawAttached() {
  byId("attached").replaceChildren(...attached.map((one) => make("button", {
    type: "button", class: "chip", title: say("remove"), click: () => { attached.splice(attached.indexOf(one), 1); drawAttached(); },
  }, one.name, " · ", say("characters", { n: shortNumber(one.text.length) }), icon("close"))));
  drawComposer();
}
const withAttached = (text) => [text, ...attached.map((one) => `${one.name}:\n\n${one.text}`)].filter((one) => one.trim() !== "").join("\n\n");
function onPaste(event) {
  const text = event.clipboardData.getData("text/plain");
  if (text.length <= longPaste) return;
  event.preventDefault();
  attach(say("pasted"), text);
}
async function onDrop(event) {
  if (event.dataTransfer.files.length === 0) return;
  event.preventDefault();
  for (const file of event.dataTransfer.files) {
    try { attach(file.name, new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer())); } catch { toast(say("notText", { name: file.name })); }
  }
}
