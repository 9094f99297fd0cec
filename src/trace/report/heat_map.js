// A grid of cells on a canvas, driven by mouse and arrow keys, with numbered rows and columns.
// `read(row, column)` gives the text of a cell, `choose` is told of every move. A screen reader passes
// the keys on (role application) and reads the cell from the live region.
function heatMap({ rows, columns, share, label, at, choose, read, cell, minimum, rowName, names }) {
  const size = Math.max(minimum || 4, Math.min(cell || 18, Math.floor(1080 / columns)));
  const left = names ? 78 : 34, top = 18;  // room for the names or numbers
  const ratio = window.devicePixelRatio || 1;
  const canvas = make("canvas", { tabindex: "0", role: "application", "aria-roledescription": t.heatMap, "aria-label": label });
  canvas.width = (left + columns * size) * ratio;
  canvas.height = (top + rows * size) * ratio;
  canvas.style.width = left + columns * size + "px";
  canvas.style.height = top + rows * size + "px";
  const context = canvas.getContext("2d");
  const gap = size >= 8 ? 1 : 0;
  let [row, column] = at;
  function draw() {
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, left + columns * size, top + rows * size);
    context.fillStyle = ramp.quiet;
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    context.textAlign = "right";
    const rowStep = Math.ceil(13 / size), columnStep = Math.ceil(26 / size);
    for (let r = 0; r < rows; r += rowStep) context.fillText(String(rowName ? rowName(r) : r).slice(0, 10), left - 6, top + (r + 0.5) * size);
    context.textAlign = "center";
    for (let c = 0; c < columns; c += columnStep) context.fillText(String(c), left + (c + 0.5) * size, 8);
    for (let r = 0; r < rows; ++r) {
      for (let c = 0; c < columns; ++c) {
        const s = share(r, c);
        if (s === null) continue;
        context.fillStyle = colour(s);
        context.fillRect(left + c * size, top + r * size, size - gap, size - gap);
      }
    }
    context.strokeStyle = ramp.mark;
    context.lineWidth = 2;
    context.strokeRect(left + column * size + 1, top + row * size + 1, size - 2, size - 2);
  }
  function move(r, c, aloud) {
    row = Math.max(0, Math.min(rows - 1, r));
    column = Math.max(0, Math.min(columns - 1, c));
    draw();
    choose(row, column);
    if (aloud) say(read(row, column));
  }
  function cellAt(event) {
    const box = canvas.getBoundingClientRect();
    const inside = (value, n) => Math.max(0, Math.min(n - 1, Math.floor(value / size)));
    return [inside(event.clientY - box.top - top, rows), inside(event.clientX - box.left - left, columns)];
  }
  canvas.addEventListener("click", (event) => move(...cellAt(event), false));
  canvas.addEventListener("mousemove", (event) => { canvas.title = read(...cellAt(event)); });
  canvas.addEventListener("focus", () => say(read(row, column)));
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    move(row + step[0], column + step[1], true);
  });
  draw();
  return canvas;
}
