// The output of a task, however long: only what is looked at is loaded, and only some hundred lines are in the page.

const BLOCK = 65536; // bytes that are loaded, and whose lines are counted, together
const KEPT = 64; // blocks in memory
const STEP = 250; // lines that are added at a time
const ROWS = 1000; // lines in the page
const NEAR = 1500; // pixels above and below the window that have their lines
const TALLEST = 8e6; // pixels; browsers have a limit
const LONGEST = 16384; // bytes of a line that are shown
const MOST_FOUND = 200000;

const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

async function ask(address, options) {
  const answer = await fetch(address, options);
  if (answer.status === 401) location.reload(); // the session is over: the page leads to the sign-in
  if (!answer.ok) throw new Error(`${answer.status} from ${address}`);
  return answer;
}

function joined(...parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function feedsIn(bytes) {
  let count = 0;
  for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) count += 1;
  return count;
}

// ----------------------------------------------------------------------------------------------------------- the bytes

// One log: how many lines end in each of its blocks, and those blocks that were looked at lately. Lines count from 0.
class Source {
  constructor(address) {
    this.address = address;
    this.size = 0;
    this.sums = [0]; // line feeds before each block, and at the end those of all
    this.open = false; // the last line has no line feed
    this.complete = false;
    this.blocks = new Map();
    this.decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    this.onchange = () => {};
  }

  get lines() {
    return this.sums[this.sums.length - 1] + (this.open ? 1 : 0);
  }

  async count() {
    for (let offset = this.size - (this.size % BLOCK); ; ) {
      const part = await (await ask(`${this.address}/lines?offset=${offset}`)).json();
      if (part.size < this.size) return false; // another attempt has begun, with a new log
      this.sums.length = part.offset / BLOCK + 1;
      for (const feeds of part.feeds) this.sums.push(this.sums[this.sums.length - 1] + feeds);
      Object.assign(this, { size: part.next, open: part.open, complete: part.complete });
      if (part.next >= part.size) return true;
      offset = part.next;
    }
  }

  add(bytes) {
    for (let at = 0; at < bytes.length; ) {
      const index = Math.floor(this.size / BLOCK);
      const within = this.size % BLOCK;
      const piece = bytes.subarray(at, at + BLOCK - within);
      const known = within ? this.blocks.get(index) : new Uint8Array(0);
      if (known && known.length === within) this.keep(index, joined(known, piece));
      if (!within) this.sums.push(this.sums[this.sums.length - 1]);
      this.sums[index + 1] += feedsIn(piece);
      this.size += piece.length;
      at += piece.length;
    }
    if (bytes.length) this.open = bytes[bytes.length - 1] !== 10;
  }

  async follow() {
    let patience = 500;
    while (!this.complete) {
      try {
        const reader = (await ask(`${this.address}?follow=1&offset=${this.size}`)).body.getReader();
        for (let part = await reader.read(); !part.done; part = await reader.read()) {
          patience = 500;
          this.add(part.value);
          this.onchange();
        }
        if (!(await this.count())) return location.reload();
      } catch {
        patience = Math.min(10000, patience * 2);
      }
      if (!this.complete) await pause(patience);
      this.onchange();
    }
  }

  keep(index, bytes) {
    this.blocks.delete(index);
    this.blocks.set(index, bytes);
    if (this.blocks.size > KEPT) this.blocks.delete(this.blocks.keys().next().value);
  }

  async block(index) {
    const wanted = Math.min(BLOCK, this.size - index * BLOCK);
    let bytes = this.blocks.get(index) || new Uint8Array(0);
    while (bytes.length < wanted) {
      const offset = index * BLOCK + bytes.length;
      const answer = await ask(`${this.address}?offset=${offset}&limit=${BLOCK - bytes.length}`);
      const more = new Uint8Array(await answer.arrayBuffer());
      if (!more.length) break;
      bytes = joined(bytes, more);
    }
    this.keep(index, bytes);
    return bytes.subarray(0, wanted);
  }

  // The index of the block in which a line ends.
  blockOf(line) {
    let [low, high] = [0, this.sums.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.sums[middle] <= line) low = middle;
      else high = middle - 1;
    }
    return Math.min(low, this.sums.length - 2);
  }

  // What the blocks before one hold of its first line: as much as is shown, and how much more there is.
  async head(index) {
    let from = index - 1;
    while (from > 0 && this.sums[from + 1] === this.sums[from]) from -= 1;
    let bytes = await this.block(from);
    bytes = bytes.subarray(bytes.lastIndexOf(10) + 1);
    const length = bytes.length + (index - from - 1) * BLOCK;
    for (from += 1; from < index && bytes.length < LONGEST; from += 1) bytes = joined(bytes, await this.block(from));
    bytes = bytes.subarray(0, LONGEST);
    return { bytes, more: length - bytes.length };
  }

  // Lines from one to before another, each with its text and the number of bytes that are left out.
  async read(from, to) {
    const found = [];
    while (from < to) {
      const index = this.blockOf(from);
      const bytes = await this.block(index);
      const head = index ? await this.head(index) : { bytes: new Uint8Array(0), more: 0 };
      let start = 0;
      let line = this.sums[index];
      for (; line < to && start < bytes.length; line += 1) {
        const feed = bytes.indexOf(10, start);
        const end = feed < 0 ? bytes.length : feed;
        if (line >= from) {
          let text = bytes.subarray(start, end);
          let more = start ? 0 : head.more;
          if (more) [text, more] = [head.bytes, more + end];
          else if (!start) text = joined(head.bytes, text);
          more += Math.max(0, text.length - LONGEST);
          found.push({ line, text: this.decoder.decode(text.subarray(0, LONGEST)), more });
        }
        start = end + 1;
      }
      if (line <= from) break;
      from = line;
    }
    return found;
  }
}

// -------------------------------------------------------------------------------------------------------------- colors

const ESCAPE =
  /\x1b(?:\[([0-?]*)[ -/]*([@-~]?)|\](?:[^\x07\x1b]*(?:\x07|\x1b\\))?|[PX^_](?:[^\x1b]*\x1b\\)?|[ -/]*[0-~])?/g;
const UNPRINTED = /[\x00-\x08\x0a-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]/g;
const LEVELS = [0, 95, 135, 175, 215, 255];
const STYLES = ["bold", "dim", "italic", "underline", "strike", "inverse"];
const ON = { 1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "inverse", 9: "strike", 21: "underline" };
const OFF = { 22: ["bold", "dim"], 23: ["italic"], 24: ["underline"], 27: ["inverse"], 29: ["strike"] };

function sign(character) {
  const code = character.charCodeAt(0);
  if (code < 0x20) return String.fromCharCode(0x2400 + code);
  if (code === 0x7f) return "\u2421";
  return code < 0x100 ? `\\x${code.toString(16)}` : `\\u${code.toString(16)}`;
}

function nearest(...wanted) {
  const miss = (got) => got.reduce((sum, value, index) => sum + (value - wanted[index]) ** 2, 0);
  const steps = wanted.map((value) => {
    const misses = LEVELS.map((level) => Math.abs(level - value));
    return misses.indexOf(Math.min(...misses));
  });
  const gray = Math.min(23, Math.max(0, Math.round(((wanted[0] + wanted[1] + wanted[2]) / 3 - 8) / 10)));
  const grays = [8 + 10 * gray, 8 + 10 * gray, 8 + 10 * gray];
  if (miss(grays) < miss(steps.map((step) => LEVELS[step]))) return 232 + gray;
  return 16 + 36 * steps[0] + 6 * steps[1] + steps[2];
}

function named(kind, values) {
  const numbers = values.map((value) => Number(value || 0)).filter((value) => value < 256);
  if (kind === "5" && numbers.length) return numbers[0];
  return kind === "2" && numbers.length === 3 ? nearest(...numbers) : null;
}

// A pen after a sequence that selects how characters look; what is not known changes nothing.
function changed(pen, numbers) {
  if (!/^[0-9;:]*$/.test(numbers)) return pen;
  let next = { ...pen };
  const fields = numbers.split(";");
  for (let index = 0; index < fields.length; index += 1) {
    const field = fields[index];
    const code = field === "4:0" ? 24 : Number(field.split(":")[0] || 0);
    if (code === 38 || code === 48 || code === 58) {
      let color;
      if (field.includes(":")) {
        const [, kind, ...rest] = field.split(":");
        color = named(kind, kind === "2" ? rest.slice(-3) : rest);
      } else {
        const kind = fields[index + 1];
        const count = { 5: 1, 2: 3 }[kind] || 0;
        color = named(kind, fields.slice(index + 2, index + 2 + count));
        index += 1 + count;
      }
      if (color !== null && code !== 58) next[code === 38 ? "ink" : "ground"] = color;
    } else if (code === 0) next = {};
    else if (ON[code]) next[ON[code]] = true;
    else if (OFF[code]) for (const name of OFF[code]) delete next[name];
    else if (code >= 30 && code < 38) next.ink = code - 30;
    else if (code === 39) delete next.ink;
    else if (code >= 40 && code < 48) next.ground = code - 40;
    else if (code === 49) delete next.ground;
    else if (code >= 90 && code < 98) next.ink = code - 82;
    else if (code >= 100 && code < 108) next.ground = code - 92;
  }
  return next;
}

function classesOf(pen) {
  const words = STYLES.filter((name) => pen[name]);
  if (pen.ink !== undefined) words.push(`f${pen.ink}`);
  if (pen.ground !== undefined) words.push("on", `b${pen.ground}`);
  return words.join(" ");
}

// Put a line into an element, and return the pen for the next line. Of what was written over the last state is shown.
function paint(element, text, pen, needle) {
  const shown = text.replace(/\r+$/, "").lastIndexOf("\r") + 1;
  let position = 0;
  const put = (until) => {
    const part = text.slice(Math.max(shown, position), until).replace(/\r+$/, "").replace(UNPRINTED, sign);
    const classes = classesOf(pen);
    if (part) element.append(...(classes ? [span("span", classes, ...marked(part, needle))] : marked(part, needle)));
  };
  for (const match of text.matchAll(ESCAPE)) {
    if (match.index > shown) put(match.index);
    position = match.index + match[0].length;
    if (match[2] === "m") pen = changed(pen, match[1]);
  }
  put(text.length);
  return pen;
}

function span(tag, classes, ...inner) {
  const element = document.createElement(tag);
  if (classes) element.className = classes;
  element.append(...inner);
  return element;
}

function marked(text, needle) {
  if (!needle) return [text];
  const parts = [];
  const lower = text.toLowerCase();
  let from = 0;
  for (let at = lower.indexOf(needle); at >= 0 && lower.length === text.length; at = lower.indexOf(needle, from)) {
    parts.push(text.slice(from, at), span("mark", "", text.slice(at, at + needle.length)));
    from = at + needle.length;
  }
  return [...parts, text.slice(from)];
}

// -------------------------------------------------------------------------------------------------------------- search

class Search {
  constructor(source, text, onchange) {
    Object.assign(this, { source, text, onchange, lines: [], offset: 0, line: 0, stopped: false, failed: false });
  }

  get done() {
    return this.stopped || this.offset >= this.source.size;
  }

  run() {
    this.running ||= this.scan().finally(() => (this.running = null));
    return this.running;
  }

  async scan() {
    while (!this.done && this.lines.length < MOST_FOUND) {
      const query = new URLSearchParams({ text: this.text, offset: this.offset, line: this.line });
      try {
        const part = await (await ask(`${this.source.address}/matches?${query}`)).json();
        for (const line of part.lines) if (line !== this.lines[this.lines.length - 1]) this.lines.push(line);
        Object.assign(this, { offset: part.next, line: part.line });
        if (part.next === part.offset) return;
      } catch {
        this.failed = true;
        return;
      } finally {
        this.onchange();
      }
    }
  }

  // The place among the matches of the first one after a line, or of the last one before it; around the ends.
  async from(line, step) {
    const run = this.run();
    const after = () => this.lines.findIndex((found) => found > line);
    if (step > 0) {
      while (after() < 0 && !this.done && this.running) await Promise.race([run, pause(50)]);
      return Math.max(0, after());
    }
    const before = this.lines.findLastIndex((found) => found < line);
    if (before < 0) await run;
    return before < 0 ? this.lines.length - 1 : before;
  }
}

// ---------------------------------------------------------------------------------------------------------- the window

class View {
  constructor(pane, address, name) {
    this.source = new Source(address);
    this.name = name;
    this.box = span("div", "log painted");
    Object.assign(this.box, { tabIndex: 0, role: "region", ariaLabel: `Lines of ${name}` });
    this.above = span("div", "pad");
    this.rows = span("div", "rows");
    this.below = span("div", "pad");
    this.box.append(this.above, this.rows, this.below);
    this.more = span("button", "log-more");
    Object.assign(this.more, { type: "button", hidden: true });
    this.more.addEventListener("click", () => this.toEnd());
    this.plain = pane.querySelector(".log-plain");
    this.frame = span("div", "log-frame", this.box, this.more);
    Object.assign(this, { first: 0, last: 0, height: 19, pen: {}, pinned: false, picked: null, needle: "", current: -1 });
    this.work = Promise.resolve();
    this.queued = {};
    this.box.addEventListener("scroll", () => this.scrolled(), { passive: true });
    new ResizeObserver(() => this.later("settle")).observe(this.box);
    this.source.onchange = () => requestAnimationFrame(() => this.later("grown"));
    this.onchange = () => {};
  }

  async begin() {
    await this.source.count();
    this.plain.replaceWith(this.frame);
    this.source.follow();
  }

  // One thing at a time changes the lines; of things that are asked for again before they began one is enough.
  later(name) {
    if (this.queued[name]) return;
    this.queued[name] = true;
    this.now(async () => {
      this.queued[name] = false;
      await this[name]();
    });
  }

  now(change) {
    this.work = this.work.then(change).catch((problem) => {
      this.more.hidden = false;
      this.more.textContent = `Not loaded: ${problem.message}`;
    });
    return this.work;
  }

  row({ line, text, more }) {
    const number = span("a", "no", String(line + 1));
    Object.assign(number, { href: `#L${line + 1}`, tabIndex: -1 });
    const code = span("code", "");
    this.pen = paint(code, text, this.pen, this.needle);
    if (more) code.append(span("span", "cut", ` … and ${more} more bytes, see Raw`));
    const element = span("div", "line", number, code);
    element.dataset.line = line;
    this.mark(element);
    return element;
  }

  mark(element) {
    const line = Number(element.dataset.line);
    element.classList.toggle("picked", this.picked !== null && line >= this.picked[0] && line <= this.picked[1]);
    element.classList.toggle("current", line === this.current);
  }

  markAll() {
    for (const element of this.rows.children) this.mark(element);
  }

  async load(from, to) {
    const around = await this.source.read(Math.max(0, from - 100), to);
    this.pen = {};
    const scratch = document.createElement("code");
    const rows = [];
    for (const each of around) {
      if (each.line >= from) rows.push(this.row(each));
      else if (each.text.includes("\x1b")) this.pen = paint(scratch, each.text, this.pen, "");
    }
    return rows;
  }

  pads() {
    const each = Math.min(this.height, TALLEST / Math.max(1, this.source.lines));
    this.above.style.height = `${this.first * each}px`;
    this.below.style.height = `${Math.max(0, this.source.lines - this.last) * each}px`;
  }

  async fill(from, to) {
    const rows = await this.load(from, to);
    this.rows.replaceChildren(...rows);
    this.first = from;
    this.until(from + rows.length);
    if (rows.length) this.height = this.rows.getBoundingClientRect().height / rows.length;
    this.pads();
  }

  until(last) {
    this.last = last;
    this.ended = last < this.source.lines || !this.source.open; // whether the last line here is whole
  }

  scrollTo(top) {
    this.box.scrollTop = top;
    this.top = this.box.scrollTop;
  }

  show(line, share = 0.3) {
    return this.now(async () => {
      line = Math.max(0, Math.min(line, this.source.lines - 1));
      await this.fill(Math.max(0, line - STEP), Math.min(this.source.lines, line + STEP));
      const row = this.rows.children[line - this.first];
      if (row) this.scrollTo(row.offsetTop - this.box.clientHeight * share);
      await this.settle();
    });
  }

  toEnd() {
    this.pin(true);
    return this.now(async () => {
      await this.fill(Math.max(0, this.source.lines - STEP), this.source.lines);
      this.scrollTo(this.box.scrollHeight);
      await this.settle();
    });
  }

  pin(pinned) {
    this.pinned = pinned;
    this.onchange();
    this.tell();
  }

  tell() {
    const left = this.source.lines - this.last;
    this.more.hidden = this.pinned || !this.source.lines || this.atEnd();
    this.more.textContent = this.source.complete ? "↓ End" : left > 0 ? `↓ ${left} more lines, follow` : "↓ Follow";
  }

  atEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.box;
    return this.last >= this.source.lines && scrollHeight - scrollTop - clientHeight < 4;
  }

  scrolled() {
    const top = this.box.scrollTop;
    if (this.atEnd()) this.pinned || this.pin(true);
    else if (top < this.top - 1) !this.pinned || this.pin(false);
    this.top = top;
    this.tell();
    this.later("settle");
  }

  async settle() {
    for (let turn = 0; turn < 20 && this.source.lines; turn += 1) {
      const box = this.box.getBoundingClientRect();
      const rows = this.rows.getBoundingClientRect();
      if (rows.bottom < box.top || rows.top > box.bottom) await this.jump(rows, box);
      else if (rows.top > box.top - NEAR && this.first > 0) await this.prepend();
      else if (rows.bottom < box.bottom + NEAR && this.last < this.source.lines) await this.append();
      else break;
    }
    this.tell();
  }

  async jump(rows, box) {
    const left = this.source.lines - this.last;
    const { scrollHeight, scrollTop, clientHeight } = this.box;
    if (scrollHeight - scrollTop - clientHeight < 2) {
      await this.fill(Math.max(0, this.source.lines - STEP), this.source.lines);
      this.scrollTo(this.box.scrollHeight);
      return;
    }
    const part = (distance, pad) => Math.max(0, Math.min(1, distance / Math.max(1, pad.offsetHeight)));
    const line =
      rows.top > box.bottom
        ? Math.floor(this.first * part(scrollTop, this.above))
        : Math.floor(this.last + left * part(box.top - rows.bottom, this.below));
    await this.fill(Math.max(0, line - STEP), Math.min(this.source.lines, line + STEP));
    const row = this.rows.children[Math.min(line, this.last - 1) - this.first];
    if (row && Math.abs(row.offsetTop - scrollTop) > 2 * this.height) this.scrollTo(row.offsetTop);
  }

  // Lines are added at one side and dropped at the other; those that stay are left where they are on the screen.
  async prepend() {
    const from = Math.max(0, this.first - STEP);
    const rows = await this.load(from, this.first);
    this.steady(this.rows.firstElementChild, () => {
      this.rows.prepend(...rows);
      this.first = from;
      while (this.rows.childElementCount > ROWS) this.rows.lastElementChild.remove();
      this.until(this.first + this.rows.childElementCount);
    });
  }

  async append() {
    const from = this.ended ? this.last : this.last - 1; // a line that had no end yet is written anew
    const rows = await this.load(from, Math.min(this.source.lines, from + STEP));
    this.steady(this.rows.firstElementChild, () => {
      if (from < this.last && rows.length) this.rows.lastElementChild.remove();
      this.rows.append(...rows);
      this.until(from + rows.length);
    });
    const spare = this.rows.childElementCount - ROWS;
    if (spare <= 0) return;
    this.steady(this.rows.lastElementChild, () => {
      for (let count = 0; count < spare; count += 1) this.rows.firstElementChild.remove();
      this.first += spare;
    });
  }

  steady(anchor, change) {
    const place = anchor ? anchor.getBoundingClientRect().top : 0;
    change();
    this.pads();
    const moved = anchor && anchor.isConnected ? anchor.getBoundingClientRect().top - place : 0;
    if (Math.abs(moved) > 0.5) this.scrollTo(this.box.scrollTop + moved);
  }

  async grown() {
    const { lines } = this.source;
    if (this.pinned && lines - this.last > ROWS) await this.fill(lines - STEP, lines);
    while (this.pinned && (this.last < lines || !this.ended)) {
      await this.append();
      if (this.last >= lines) break;
    }
    if (!this.pinned && !this.ended) await this.append();
    this.pads();
    if (this.pinned) this.scrollTo(this.box.scrollHeight);
    else await this.settle();
    this.tell();
    this.onchange();
  }

  repaint() {
    return this.now(async () => {
      const rows = await this.load(this.first, this.last);
      this.rows.replaceChildren(...rows);
    });
  }

  topLine() {
    const top = this.box.scrollTop;
    const row = [...this.rows.children].find((each) => each.offsetTop + each.offsetHeight > top);
    return row ? Number(row.dataset.line) : 0;
  }

  pick(from, to) {
    this.picked = [Math.min(from, to), Math.max(from, to)];
    this.pin(false);
    this.markAll();
  }

  async find(step) {
    const { search } = this;
    if (!search) return;
    const seen = this.rows.querySelector(".current");
    const line = seen ? this.current : this.topLine() - (step > 0 ? 1 : 0);
    this.at = await search.from(line, step);
    const found = search.lines[this.at];
    if (search !== this.search || found === undefined) return;
    this.current = found;
    this.pin(false);
    const row = this.rows.children[found - this.first];
    const box = this.box.getBoundingClientRect();
    const place = row && row.getBoundingClientRect();
    this.markAll();
    if (!place || place.top < box.top || place.bottom > box.bottom) await this.show(found);
  }

  look(text) {
    if (this.search) this.search.stopped = true;
    this.search = text ? new Search(this.source, text, () => this.onchange()) : null;
    Object.assign(this, { needle: text.toLowerCase(), current: -1, at: -1 });
    this.onchange();
    return this.repaint().then(() => this.find(1));
  }
}

// ------------------------------------------------------------------------------------------------------------ the page

function sizeText(size) {
  if (size < 1000) return `${size} B`;
  let unit = 0;
  for (; size >= 1000 && unit < 4; unit += 1) size /= 1024;
  return `${size.toFixed(size < 100 ? 1 : 0)} ${["B", "KiB", "MiB", "GiB", "TiB"][unit]}`;
}

function foundText({ search, at }) {
  if (!search) return "";
  const count = search.lines.length;
  if (search.failed) return "search failed";
  const more = search.done ? "" : `+ (${Math.floor((100 * search.offset) / Math.max(1, search.source.size))} %)`;
  if (!count) return search.done ? "no matches" : `searching${more.slice(1)}`;
  return `${at >= 0 ? `${at + 1} of ` : ""}${count}${more}`;
}

function start(page) {
  const views = [...page.querySelectorAll(".log-pane")].map(
    (pane) => new View(pane, page.dataset.api + pane.dataset.stream, pane.dataset.stream),
  );
  const [form, lineForm] = [page.querySelector(".log-search"), page.querySelector(".log-line")];
  const [input, lineInput] = [form.querySelector("input"), lineForm.querySelector("input")];
  const [wrap, follow] = ["wrap", "follow"].map((name) => page.querySelector(`[data-toggle="${name}"]`));
  let view = views[0];

  function tell() {
    for (const { name, source } of views) {
      page.querySelector(`[data-size="${name}"]`).textContent = sizeText(source.size);
    }
    page.querySelector(".log-found").textContent = foundText(view);
    follow.hidden = view.source.complete;
    follow.setAttribute("aria-pressed", String(view.pinned));
  }

  function setWrap(on) {
    const line = view.topLine();
    page.classList.toggle("wrap", on);
    wrap.setAttribute("aria-pressed", String(on));
    try {
      localStorage.setItem("prunner-log-wrap", on ? "1" : "");
    } catch {
      // It lasts as long as the page.
    }
    if (view.pinned) view.toEnd();
    else if (view.rows.childElementCount) view.show(line, 0);
  }

  function toLine() {
    const found = /^#(?:(stdout|stderr)-)?L(\d+)(?:-L?(\d+))?$/.exec(location.hash);
    if (!found) return false;
    view = views.find((each) => each.name === found[1]) || view;
    view.pick(found[2] - 1, (found[3] || found[2]) - 1);
    view.show(found[2] - 1);
    return true;
  }

  function pick(event) {
    const number = event.target.closest("a.no");
    if (!number || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const line = Number(number.parentElement.dataset.line);
    view.pick(event.shiftKey && view.picked ? view.picked[0] : line, line);
    const [from, to] = view.picked;
    const name = views.length > 1 ? `${view.name}-` : "";
    history.replaceState(null, "", `#${name}L${from + 1}${to > from ? `-L${to + 1}` : ""}`);
  }

  const keys = {
    n: () => view.find(1),
    N: () => view.find(-1),
    w: () => wrap.click(),
    f: () => follow.hidden || follow.click(),
    l: () => lineInput.focus(),
  };

  let typing = 0;
  let looked = "";
  const look = () => {
    clearTimeout(typing);
    looked = input.value;
    return view.look(looked);
  };
  input.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(look, 250);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (input.value === looked) view.find(1);
    else look();
  });
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !event.shiftKey) return;
    event.preventDefault();
    view.find(-1);
  });
  form.addEventListener("click", (event) => {
    const button = event.target.closest("[data-go]");
    if (button) view.find(button.dataset.go === "next" ? 1 : -1);
  });
  lineForm.addEventListener("submit", (event) => {
    event.preventDefault();
    const line = parseInt(lineInput.value, 10);
    if (!(line > 0)) return;
    const name = views.length > 1 ? `${view.name}-` : "";
    history.replaceState(null, "", `#${name}L${Math.min(line, view.source.lines)}`);
    toLine();
    view.box.focus({ preventScroll: true });
  });
  wrap.addEventListener("click", () => setWrap(!page.classList.contains("wrap")));
  follow.addEventListener("click", () => (view.pinned ? view.pin(false) : view.toEnd()));
  addEventListener("hashchange", toLine);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.target.closest("input, textarea, select, dialog[open]")) return;
    if (event.key === "Home" || event.key === "End") {
      event.preventDefault();
      if (event.key === "End") view.toEnd();
      else view.show(0, 0);
    } else if (keys[event.key]) {
      event.preventDefault();
      keys[event.key]();
    }
  });

  const [stored, begun] = [localStorageItem("prunner-log-wrap"), views.map((each) => each.begin())];
  page.classList.toggle("wrap", Boolean(stored));
  wrap.setAttribute("aria-pressed", String(Boolean(stored)));
  page.classList.add("scripted");
  for (const element of [form, lineForm, wrap]) element.hidden = false;
  views.forEach((each, index) => {
    each.onchange = tell;
    each.box.addEventListener("click", pick);
    each.frame.addEventListener("pointerdown", () => (view = each));
    each.frame.addEventListener("focusin", () => {
      view = each;
      tell();
    });
    begun[index].then(
      () => {
        if (!(each === view && toLine())) each.toEnd();
        if (each === view) each.box.focus({ preventScroll: true });
        tell();
      },
      () => {
        // What the server has put into the page stays.
        page.classList.remove("scripted");
        for (const element of [form, lineForm, wrap]) element.hidden = true;
      },
    );
  });
}

function localStorageItem(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

const page = document.getElementById("log");
if (page && page.dataset.api) start(page);
