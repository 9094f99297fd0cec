// The tokens of an answer with their probabilities: what the API says (logprobs.content with
// return_token_ids), read into short records, and what the page computes of them. Pure.
//
//   token: {text, logprob, bytes: [number], id?, top: [{text, logprob, bytes, id?}], row?, forced?}
//   row: which generated token of the answer it is, thoughts and tags counted (that of the experts)
const maxTokenSpans = 2000;

function readToken(entry) {
  const one = (from) => ({
    text: typeof from.token === "string" ? from.token : "",
    logprob: Number.isFinite(from.logprob) ? from.logprob : -9999,
    bytes: Array.isArray(from.bytes) ? from.bytes.filter((byte) => Number.isInteger(byte) && byte >= 0 && byte < 256) : [],
    ...(Number.isInteger(from.id) ? { id: from.id } : {}),
  });
  const top = Array.isArray(entry.top_logprobs) ? entry.top_logprobs.slice(0, 20) : [];
  return { ...one(entry), top: top.filter((rival) => rival && typeof rival === "object").map(one) };
}
// A token out of a file, of which nothing is sure; null when it is none.
function importToken(token) {
  if (token === null || typeof token !== "object" || !Array.isArray(token.bytes)) return null;
  const rename = (from) => ({ ...from, token: from.text });
  const top = Array.isArray(token.top) ? token.top.filter((rival) => rival && typeof rival === "object") : [];
  const read = readToken({ ...rename(token), top_logprobs: top.map(rename) });
  return { ...read, ...(token.forced === true ? { forced: true } : {}) };
}

const probabilityOf = (token) => Math.exp(Math.min(0, token.logprob));
// 1 for the likeliest; null when it is not among the alternatives that came.
function rankOf(token) {
  const same = (rival) => (token.id !== undefined && rival.id !== undefined ? rival.id === token.id : sameBytes(rival.bytes, token.bytes));
  const at = token.top.findIndex(same);
  return at < 0 ? null : at + 1;
}
function sameBytes(a, b) { return a.length === b.length && a.every((byte, i) => byte === b[i]); }
// One of ten classes, for the underline: 0 the least likely. Equal steps would put nearly all into the
// highest, so the scale is one of surprise: 9 from 0.9 on, 0 below 1 %.
function levelOf(probability) {
  const steps = [0.01, 0.03, 0.07, 0.15, 0.25, 0.4, 0.55, 0.75, 0.9];
  let level = 0;
  while (level < steps.length && probability >= steps[level]) ++level;
  return level;
}
// The text of bytes, or null when they are not whole characters.
function textOfBytes(bytes) {
  try { return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(new Uint8Array(bytes)); } catch { return null; }
}
// The answer up to token `at`, and there `rival` instead; null when that would cut a character.
function continuation(tokens, at, rival) {
  return textOfBytes([...tokens.slice(0, at).flatMap((token) => token.bytes), ...rival.bytes]);
}
// Tokens `from` to `end` as one text; half a character at either end becomes �.
function textOfTokens(tokens, from = 0, end = tokens.length) {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(new Uint8Array(tokens.slice(from, end).flatMap((token) => token.bytes)));
}
// How a token is shown: blanks, line ends and parts of characters made visible.
function shownToken(token) {
  const text = textOfBytes(token.bytes);
  if (text === null) return token.bytes.map((byte) => "\\x" + byte.toString(16).padStart(2, "0")).join("");
  return text === "" ? "∅" : text.replace(/\n/g, "⏎").replace(/\t/g, "⇥").replace(/^ +| +$/g, (blanks) => "␣".repeat(blanks.length))
    .replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2066-\u2069]/g, "�");
}
function percentOf(probability) {
  if (probability > 0 && probability < 0.0005) return "< 0.1 %";
  const fine = probability < 0.0995 || (probability > 0.9945 && probability < 0.9995);
  return (probability * 100).toFixed(fine ? 1 : 0) + " %";
}

// Gives each entry of a chunk its place among all generated ids: entries come in order and leave out
// those of thoughts, tags and calls. ids: all so far; from: where to look on. Returns where it stopped.
function placeTokens(tokens, ids, from) {
  let at = from;
  for (const token of tokens) {
    const found = token.id === undefined ? -1 : ids.indexOf(token.id, at);
    if (found < 0) continue;
    token.row = found;
    at = found + 1;
  }
  return at;
}
