// Text that is still coming, cut into what is finished and the block that is open. A piece costs time
// by its own length: nothing finished is looked at again, and an open block has a limit.
const maxOpenBlock = 64 << 10;
const maxOpenList = 1500;  // a longer one goes on as another, so that it stays a list while it comes

// push(text) -> the blocks' texts that it finished; open() -> the text of the open one; inCode().
function makeSplitter() {
  let tail = "";      // of the open block
  let scanned = 0;    // lines of the tail before this are read
  let fence = null;   // the one that the tail is inside of
  let blank = false;  // the line before was blank
  let list = false;   // the open block is a list: blank lines do not end it
  const take = (end) => {
    const text = tail.slice(0, end);
    tail = tail.slice(end);
    scanned = 0;
    blank = list = false;
    return text;
  };
  // Whether the open block ends before the line.
  function endsBefore(line) {
    if (scanned === 0) return false;
    if (fenceOf(line) && !/^ /.test(line)) return true;
    if (list && scanned > maxOpenList && !/^ /.test(line) && itemOf(line)) return true;
    if (!blank) return false;
    return !(list && (/^(?: {2,}|\t)/.test(line) || itemOf(line)));
  }
  function readLine(line, end, done) {
    if (fence) {
      if (!closesFence(line, fence)) { scanned = end; return; }
      fence = null;
      if (list) scanned = end; else done.push(take(end));
      return;
    }
    if (line.trim() !== "" && endsBefore(line)) {
      done.push(take(scanned));
      end = line.length + 1;
    }
    if (scanned === 0) list = itemOf(line) !== null;
    fence = fenceOf(line) || (list && fenceOf(line.trimStart())) || null;
    blank = line.trim() === "";
    scanned = end;
  }
  return {
    push(text) {
      tail += text;
      const done = [];
      for (let end = tail.indexOf("\n", scanned); end >= 0; end = tail.indexOf("\n", scanned)) {
        readLine(tail.slice(scanned, end), end + 1, done);
      }
      if (tail.length > maxOpenBlock) {
        const opening = fence ? `${fence.marks}${fence.lang}\n` : "";
        done.push(take(scanned > 0 ? scanned : tail.length));
        if (fence) { tail = opening + tail; scanned = opening.length; }
      }
      return done;
    },
    open: () => tail,
    inCode: () => fence !== null && !list,
  };
}
