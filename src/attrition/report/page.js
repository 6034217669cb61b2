"use strict";
// The interactive R, tables that sort, figures with a choice, and a page that prints whole.

const data = JSON.parse(document.getElementById("data").textContent);
const darkness = window.matchMedia("(prefers-color-scheme: dark)");
const byId = (id) => document.getElementById(id);
const make = (tag, text, settings = {}) => Object.assign(document.createElement(tag), { textContent: text }, settings);
const signed = (value, digits) => `${value > 0 ? "+" : ""}${value.toFixed(digits)}`.replace("-", "−");

/** Fills a select with [value, text] pairs; a pair whose value is a list is a group of them. */
function fill(select, pairs) {
  select.replaceChildren(...pairs.map(([value, text]) => {
    if (!Array.isArray(value)) return make("option", text, { value });
    const group = make("optgroup", "", { label: text });
    group.append(...value.map(([inner, of]) => make("option", of, { value: inner })));
    return group;
  }));
}

// R

const choices = { method: byId("r-method"), order: byId("r-order"), show: byId("r-show"), filter: byId("r-filter") };
let printing = false;

const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

/** The colour at a share from 0 to 1 of a scale, mixed with the paper where it is pale. */
function colour(scale, share, pale) {
  const at = Math.min(Math.max(share, 0), 1) * (scale.length - 1);
  const low = rgb(scale[Math.floor(at)]), high = rgb(scale[Math.ceil(at)]);
  const paper = rgb(darkness.matches && !printing ? "#14171b" : "#ffffff");
  return low.map((value, i) => {
    const mixed = value + (high[i] - value) * (at % 1);
    return Math.round(pale ? paper[i] + (mixed - paper[i]) * 0.35 : mixed);
  });
}

const luminance = (parts) => parts.map((part) => part / 255)
  .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
  .reduce((sum, part, i) => sum + part * [0.2126, 0.7152, 0.0722][i], 0);

function chosen() {
  const run = data.runs[Number(choices.order.value)];
  const show = choices.show.value === "transfer" && !run.transfer ? "score" : choices.show.value;
  return { run, show, matrix: show === "transfer" ? run.transfer : run.R };
}

/** The number that a cell shows, null where there is none. */
function shown(matrix, show, row, column) {
  const now = matrix.scores[row][column], own = matrix.own[column];
  if (show === "score" || show === "transfer" || now === null) return now;
  if (show === "since" && row < own) return null;
  const before = show === "since" ? matrix.scores[own][column] : matrix.scores[row - 1]?.[column] ?? null;
  return before === null ? null : now - before;
}

function drawR() {
  const { run, show, matrix } = chosen();
  const [key, value] = choices.filter.value.split("\n");
  const passes = (language) => !key || data.languages[language][key] === value;
  const columns = matrix.languages.map((_, place) => place).filter((place) => passes(matrix.languages[place]));
  const rows = matrix.stages.map((_, place) => place);
  const changes = show === "change" || show === "since";
  const scale = data.scales[darkness.matches && !printing ? "dark" : "light"][changes ? "change" : "score"];
  const [low, high] = changes ? [-data.swing, data.swing] : data.span;
  const size = columns.length > 26 ? "small" : columns.length > 12 ? "medium" : "";
  const table = make("table", "", { className: `cells ${size}` });
  table.append(make("caption", `${choices.show.selectedOptions[0].text}: ${run.label}`, { className: "unseen" }));
  const head = table.createTHead().insertRow();
  head.append(make("th", "trained", { scope: "col" }));
  for (const column of columns) {
    const cell = make("th", "", { scope: "col", title: data.languages[matrix.languages[column]].name });
    cell.append(make("span", matrix.languages[column]));
    head.append(cell);
  }
  const body = table.createTBody();
  for (const row of rows) {
    const line = body.insertRow();
    line.append(make("th", matrix.stages[row], { scope: "row" }));
    for (const column of columns) {
      const number = shown(matrix, show, row, column);
      const cell = line.insertCell();
      cell.dataset.at = `${row} ${column}`;
      if (number === null) { cell.textContent = "–"; continue; }
      const digits = size ? 0 : 1;
      cell.textContent = changes ? signed(number, digits) : number.toFixed(digits);
      const pale = show !== "transfer" && row < matrix.own[column];
      const parts = colour(scale, (number - low) / (high - low), pale);
      const ink = luminance(parts) > 0.18 ? "#000" : "#fff";
      cell.style.cssText = `background: rgb(${parts}); color: ${ink}`;
      if (row === matrix.own[column]) cell.className = "own";
    }
  }
  byId("r").replaceChildren(table);
  byId("r-words").textContent = run.words;
  byId("r-now").textContent = "Point at a cell to read it.";
  const unit = changes ? "points: orange is a loss, blue a gain" : "percent";
  byId("r-key").textContent = `Colours: from ${low} to ${high} ${unit}.`;
  const stem = show === "transfer" ? "transfer" : show === "change" ? "r-change" : "r";
  for (const link of document.querySelectorAll("a[data-stem]")) link.href = `figures/${stem}-${run.key}.${link.dataset.kind}`;
}

/** Says in words what the cell under the pointer is, and marks its row and column. */
function read(event) {
  const cell = event.target.closest("td[data-at]");
  if (!cell) return;
  const { show, matrix } = chosen();
  const [row, column] = cell.dataset.at.split(" ").map(Number);
  const language = matrix.languages[column], known = data.languages[language];
  const about = [known.script, known.family].filter(Boolean).join(", ");
  const named = known.name === language ? language : `${known.name} (${language})`;
  const said = [`After ${matrix.stages[row]}, ${data.score} on ${named}${about ? `, ${about}` : ""}: `];
  const score = matrix.scores[row][column];
  said.push(score === null ? "not measured." : `${score.toFixed(1)}%.`);
  for (const [kind, words] of show === "transfer" ? [] : [["change", "from the stage before"], ["since", "since its own stage"]]) {
    const value = shown(matrix, kind, row, column);
    if (value !== null && !(kind === "since" && row === matrix.own[column])) said.push(` ${signed(value, 1)} points ${words}.`);
  }
  byId("r-now").textContent = said.join("");
  const table = cell.closest("table");
  for (const marked of table.querySelectorAll(".at")) marked.classList.remove("at");
  cell.classList.add("at");
  cell.parentElement.cells[0].classList.add("at");
  table.tHead.rows[0].cells[cell.cellIndex].classList.add("at");
}

function fillOrders() {
  const own = data.runs.map((run, place) => [place, run]).filter(([, run]) => run.method === choices.method.value);
  fill(choices.order, own.map(([place, run]) => [place, run.order]));
  const any = data.runs.some((run) => run.transfer);
  const option = choices.show.querySelector("[value=transfer]");
  option.hidden = !any;
  option.disabled = !own.some(([, run]) => run.transfer);
  if (option.disabled && option.selected) choices.show.value = "score";
}

const methods = [...new Set(data.runs.map((run) => run.method))];
fill(choices.method, methods.map((method) => [method, method]));
choices.method.value = data.runs[data.first].method;
fillOrders();
choices.order.value = data.first;
const kinds = ["script", "family"].map((key) => {
  const counts = new Map();
  for (const each of Object.values(data.languages)) if (each[key]) counts.set(each[key], (counts.get(each[key]) ?? 0) + 1);
  const sorted = [...counts].sort((a, b) => b[1] - a[1]);
  return [sorted.map(([value, count]) => [`${key}\n${value}`, `${value} (${count})`]), key];
});
fill(choices.filter, [["", "all"], ...kinds.filter(([values]) => values.length)]);
choices.method.addEventListener("change", () => { fillOrders(); drawR(); });
for (const select of [choices.order, choices.show, choices.filter]) select.addEventListener("change", drawR);
byId("r").addEventListener("pointerover", read);
byId("r").addEventListener("click", read);
byId("r-choices").hidden = false;
darkness.addEventListener("change", drawR);
requestAnimationFrame(() => setTimeout(drawR)); // the first screen comes first

// Tables and figures

const keyOf = (cell) => (cell.dataset.value === undefined ? cell.textContent : Number(cell.dataset.value));

/** Whether a cell has nothing to sort by: such rows stay at the end. */
const isEmpty = (key) => key === "–" || Number.isNaN(key);

function sort(table, column, descending) {
  const rows = [...table.tBodies[0].rows].map((row) => [keyOf(row.cells[column]), row]);
  rows.sort(([a], [b]) => {
    if (isEmpty(a) || isEmpty(b)) return isEmpty(a) - isEmpty(b);
    const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
    return descending ? -order : order;
  });
  table.tBodies[0].append(...rows.map(([, row]) => row));
}

for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  heads.forEach((head, column) => {
    const button = make("button", head.textContent, { type: "button" });
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const descending = head.getAttribute("aria-sort") === "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      sort(table, column, descending);
    });
  });
}

for (const select of document.querySelectorAll("select[data-figure]")) {
  select.addEventListener("change", () => {
    for (const box of document.querySelectorAll(`[data-of="${select.dataset.figure}"]`)) {
      box.hidden = box.dataset.variant !== select.value;
    }
  });
}

// Paper

let closed = [];
window.addEventListener("beforeprint", () => {
  closed = [...document.querySelectorAll("details:not([open])")];
  for (const each of closed) each.open = true;
  printing = true;
  drawR();
});
window.addEventListener("afterprint", () => {
  for (const each of closed) each.open = false;
  printing = false;
  drawR();
});
