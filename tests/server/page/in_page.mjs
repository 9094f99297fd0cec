// What browser.mjs has Chromium run inside of the page.

// The next answer is `n` paragraphs, so many between two frames.
export function streamWithoutEnd({ paragraph, perFrame, n }) {
  const real = window.fetch;
  window.fetch = async (path, options) => {
    if (!String(path).endsWith("/v1/chat/completions")) return real(path, options);
    const encoder = new TextEncoder();
    let left = n;
    return new Response(new ReadableStream({
      async pull(to) {
        await new Promise((go) => { requestAnimationFrame(go); });
        let text = "";
        for (let i = 0; i < perFrame && left > 0; ++i, --left) text += `data: ${JSON.stringify({ id: "chatcmpl-x", choices: [{ index: 0, delta: { content: paragraph } }] })}\n\n`;
        if (left === 0) text += "data: [DONE]\n\n";
        to.enqueue(encoder.encode(text));
        if (left === 0) to.close();
      },
    }), { headers: { "content-type": "text/event-stream" } });
  };
}

// The cells of the map that have the colour of a mark, as "layer:expert".
export function markedCells({ layers, experts }) {
  const map = document.querySelector("#map");
  const mark = getComputedStyle(document.documentElement).getPropertyValue("--mark").trim();
  const wanted = [1, 3, 5].map((at) => parseInt(mark.slice(at, at + 2), 16)).join();
  const cells = [];
  for (let l = 0; l < layers; ++l) {
    for (let e = 0; e < experts; ++e) {
      const at = [Math.floor((l + 0.4) * map.width / layers), Math.floor((e + 0.4) * map.height / experts)];
      if ([...map.getContext("2d").getImageData(...at, 1, 1).data.slice(0, 3)].join() === wanted) cells.push(`${l}:${e}`);
    }
  }
  return cells;
}

// Pairs of its colours that text has, below 4.5 to 1.
export function contrasts() {
  const style = getComputedStyle(document.documentElement);
  const light = (name) => {
    const channel = [1, 3, 5].map((at) => parseInt(style.getPropertyValue(name).trim().slice(at, at + 2), 16) / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * channel[0] + 0.7152 * channel[1] + 0.0722 * channel[2];
  };
  const low = [];
  for (const [text, ...grounds] of [["--ink", "--card", "--page", "--soft", "--hover"], ["--quiet", "--card", "--page", "--soft"], ["--accent", "--card", "--page"], ["--on-accent", "--accent"], ["--bad", "--card", "--page", "--bad-soft"], ["--mark", "--card"]]) {
    for (const ground of grounds) {
      const [a, b] = [light(text), light(ground)].sort((x, y) => y - x);
      if ((a + 0.05) / (b + 0.05) < 4.5) low.push(`${text} on ${ground}: ${((a + 0.05) / (b + 0.05)).toFixed(2)}`);
    }
  }
  return low;
}

// Sends what stands in the message box, and says what the page shows every tenth of a second while the answer comes.
export function watchAnswer() {
  document.querySelector("#send").click();
  const seen = [];
  return new Promise((done) => {
    const timer = setInterval(() => {
      const map = document.querySelector("#map:not([hidden])");
      const tokens = [...document.querySelectorAll(".token")];
      const live = document.querySelector("#send").classList.contains("stopping");
      seen.push({ live, tokens: tokens.length, levels: new Set(tokens.map((one) => one.className)).size,
        map: map ? map.getContext("2d").getImageData(0, 0, map.width, map.height).data.reduce((sum, x) => (sum * 31 + x) >>> 0, 0) : 0 });
      if (live && seen.filter((one) => one.live && one.tokens > 0 && one.map !== 0).length < 6) return;
      if (!live && seen.length < 50 && !seen.some((one) => one.live)) return;  // not begun
      clearInterval(timer);
      done(seen);
    }, 100);
  });
}
