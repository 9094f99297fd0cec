// Which experts the tokens of an answer went to: the API's routed_experts, read, and the running mean
// that the map shows. Pure; experts_view.js draws it.
//
//   routed_experts of a chunk: base64 of numbers [tokens, layers, k], uint8, or int16 (little endian)
//   where there are more than 256 experts; routed_experts_shape: [layers, k], once.

// The rows of a chunk, [layers * k] each. n_tokens: how many the chunk has, 0: not known. Empty when
// it is not of that shape.
function readRouting(base64, shape, nTokens) {
  if (typeof base64 !== "string" || !Array.isArray(shape) || shape.length !== 2) return [];
  const [layers, k] = shape;
  if (!(Number.isInteger(layers) && Number.isInteger(k) && layers > 0 && k > 0 && layers <= 1024 && k <= 256)) return [];
  let bytes;
  try { bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)); } catch { return []; }
  const width = layers * k;
  const wide = nTokens > 0 && bytes.length === 2 * width * nTokens;
  const count = Math.floor(bytes.length / (wide ? 2 * width : width));
  const view = new DataView(bytes.buffer);
  const value = (i) => (wide ? view.getUint16(2 * i, true) : bytes[i]);
  return Array.from({ length: count }, (_, row) => Uint16Array.from({ length: width }, (_unused, i) => value(row * width + i)));
}

// A mean over the tokens that forgets: a token counts half after `halfLife` further ones.
function makeExpertMap(layers, k, halfLife = 64) {
  const keep = 0.5 ** (1 / halfLife);
  const map = { layers, k, experts: 8, mean: new Float32Array(layers * 8), weight: 0, rows: 0, last: null };
  function grow(expert) {
    let experts = map.experts;
    while (experts <= expert) experts *= 2;
    const mean = new Float32Array(layers * experts);
    for (let layer = 0; layer < layers; ++layer) {
      mean.set(map.mean.subarray(layer * map.experts, (layer + 1) * map.experts), layer * experts);
    }
    map.mean = mean;
    map.experts = experts;
  }
  map.add = (row) => {
    const most = row.reduce((a, b) => Math.max(a, b), 0);
    if (most >= map.experts) grow(most);
    for (let i = 0; i < map.mean.length; ++i) map.mean[i] *= keep;
    for (let i = 0; i < row.length; ++i) map.mean[Math.floor(i / k) * map.experts + row[i]] += 1 - keep;
    map.weight = map.weight * keep + 1 - keep;
    map.last = row;
    ++map.rows;
  };
  // The share of tokens that layer `layer` sent to expert `expert`, 0 to 1.
  map.share = (layer, expert) => (map.weight === 0 ? 0 : map.mean[layer * map.experts + expert] / map.weight);
  return map;
}
