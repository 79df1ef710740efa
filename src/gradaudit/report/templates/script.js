"use strict";

// Sorting: a heading becomes a button, so that a page without scripts shows no control that does nothing.
function sortKey(row, column) {
  const cell = row.cells[column];
  if (!cell.hasAttribute("data-order")) return cell.textContent.trim();
  const order = cell.getAttribute("data-order");
  return order === "" ? null : Number(order);
}

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), "en", { numeric: true });
}

function sortBy(table, column, direction) {
  const body = table.tBodies[0];
  const rows = Array.from(body.rows, (row) => ({ row, key: sortKey(row, column) }));
  // What was not measured stays at the end, whichever way the rest is sorted.
  rows.sort((a, b) => {
    if (a.key === null || b.key === null) return (a.key === null) - (b.key === null);
    return direction * compare(a.key, b.key);
  });
  body.append(...rows.map((entry) => entry.row));
}

function makeSortable(table) {
  const headings = Array.from(table.tHead.rows[0].cells);
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const up = heading.getAttribute("aria-sort") !== "ascending";
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", up ? "ascending" : "descending");
      sortBy(table, column, up ? 1 : -1);
    });
  });
}

document.documentElement.classList.add("scripts");
document.querySelectorAll("table[data-sortable]").forEach(makeSortable);

// On paper nothing can be opened.
window.addEventListener("beforeprint", () => {
  document.querySelectorAll("details").forEach((details) => { details.open = true; });
});
