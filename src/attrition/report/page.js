"use strict";
// Draws the charts, and draws them again when a run is chosen or the colour scheme changes.

const data = JSON.parse(document.getElementById("data").textContent);
const darkness = window.matchMedia("(prefers-color-scheme: dark)");

/** The rows of table number `index`: columns are stored as lists, texts as a dictionary (`of`) and places in it (`at`). */
function rows(index) {
  const table = data.tables[index];
  const names = Object.keys(table);
  const columns = names.map((name) => (table[name].of ? table[name].at.map((place) => table[name].of[place]) : table[name]));
  return columns[0].map((_, row) => Object.fromEntries(names.map((name, column) => [name, columns[column][row]])));
}

const choices = [...document.querySelectorAll("select[data-choice]")];

/** The variant of a figure for the run and the method chosen; a figure without a choice has only the variant "". */
function variantOf(figure) {
  return choices.map((choice) => choice.value).find((value) => value in figure.variants) ?? "";
}

function tablesOf(figure) {
  return figure.variants[variantOf(figure)] ?? {};
}

async function draw(box) {
  const figure = data.figures[box.dataset.figure];
  const mode = darkness.matches ? "dark" : "light";
  const tables = tablesOf(figure);
  const state = `${mode} ${Object.values(tables).join(" ")}`;
  if (box.dataset.state === state) return;
  box.dataset.state = state;
  if (Object.keys(tables).length === 0) {
    box.textContent = "The run chosen has none.";
    return;
  }
  const definition = structuredClone(figure.definition);
  definition.datasets = Object.fromEntries(Object.entries(tables).map(([name, index]) => [name, rows(index)]));
  definition.config = figure.themes[mode];
  for (const parameter of definition.params ?? []) if (parameter.name === "dark") parameter.value = mode === "dark";
  const options = { actions: false, renderer: figure.fits ? "svg" : "canvas", tooltip: { theme: mode } };
  try {
    await vegaEmbed(box, definition, options);
    box.dataset.drawn = "yes";
  } catch (problem) {
    box.textContent = `This chart could not be drawn: ${problem.message}`;
  }
}

/** Draws what is shown, from top to bottom, one chart after another so that the first is soon there. */
async function drawAll() {
  for (const box of document.querySelectorAll(".chart")) {
    if (box.closest(".hidden") === null) await draw(box);
  }
}

/** Writes R of the chosen run as a table, for those who read rather than look. */
function writeCells() {
  const details = document.getElementById("r-table");
  if (!details || !details.open) return;
  const cells = rows(tablesOf(data.figures.r).cells);
  const languages = [...new Set(cells.map((cell) => cell.language))];
  const table = document.createElement("table");
  table.className = "cells";
  const head = table.createTHead().insertRow();
  const scope = (row, text, of) => {
    const cell = document.createElement("th");
    cell.scope = of;
    cell.textContent = text;
    row.append(cell);
  };
  ["trained", ...languages].forEach((text) => scope(head, text, "col"));
  const body = table.createTBody();
  for (let start = 0; start < cells.length; start += languages.length) {
    const row = body.insertRow();
    scope(row, cells[start].stage, "row");
    for (const cell of cells.slice(start, start + languages.length)) {
      row.insertCell().textContent = cell.f1 === null ? "–" : cell.f1.toFixed(1);
    }
  }
  details.querySelector(".scroll").replaceChildren(table);
}

function refresh() {
  drawAll();
  writeCells();
  for (const link of document.querySelectorAll("a[data-stem]")) {
    const figure = data.figures[link.dataset.stem];
    const stem = figure.files[variantOf(figure)];  // none where the figure is not drawn for what is chosen
    link.hidden = stem === undefined;
    if (stem !== undefined) link.href = `figures/${stem}.${link.dataset.kind}`;
  }
}

for (const choice of choices) {
  choice.addEventListener("change", () => {
    for (const other of choices) if (other.dataset.choice === choice.dataset.choice) other.value = choice.value;
    refresh();
  });
}
for (const radio of document.querySelectorAll("input[name=shown]")) {
  radio.addEventListener("change", () => {
    for (const figure of document.querySelectorAll("figure[data-shown]")) {
      figure.classList.toggle("hidden", figure.dataset.shown !== radio.value);
    }
    refresh();
  });
}
document.getElementById("r-table")?.addEventListener("toggle", writeCells);
darkness.addEventListener("change", refresh);
refresh();
