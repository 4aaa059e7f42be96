"use strict";
(() => {
  const REFRESH_MS = 5000;
  const rows = document.getElementById("rows");
  if (!rows) return;
  const bar = document.getElementById("filters");
  const search = document.getElementById("search");
  const form = document.getElementById("runs");
  const all = () => [...rows.children];
  let sorted = null;

  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = [...bar.querySelectorAll("[data-filter]")].filter((each) => each.value);
    let shown = 0;
    for (const row of all()) {
      const text = `${row.textContent} ${Object.values(row.dataset).join(" ")}`.toLowerCase();
      row.hidden =
        !words.every((word) => text.includes(word)) ||
        !wanted.every((each) => row.dataset[each.dataset.filter] === each.value);
      shown += row.hidden ? 0 : 1;
    }
    document.getElementById("shown").textContent = `${shown} of ${all().length}`;
  };

  const valueIn = (row, key, column) => {
    const cell = row.children[column];
    const text = cell.dataset.value ?? row.dataset[key] ?? "";
    return text === "" ? null : key === "name" ? text : Number(text);
  };

  const order = (a, b) => (typeof a === "string" ? a.localeCompare(b) : a - b);

  const sort = () => {
    if (!sorted) return;
    const { key, column, down } = sorted;
    const found = all().map((row) => [valueIn(row, key, column), row]);
    // rows without a value come last in both directions
    found.sort(([a], [b]) => (a === null) - (b === null) || (down ? order(b, a) : order(a, b)));
    rows.append(...found.map(([, row]) => row));
  };

  const count = () => {
    const ticked = all().filter((row) => row.querySelector("[name=run]").checked);
    for (const row of all()) row.classList.toggle("chosen", ticked.includes(row));
    document.getElementById("ticked").textContent = ticked.length
      ? `${ticked.length} ticked: ${ticked.map((row) => row.dataset.name).join(", ")}`
      : "Tick runs to compare them.";
    document.getElementById("compare").disabled = ticked.length !== 2;
    document.getElementById("curves").disabled = ticked.length === 0;
  };

  const refresh = async () => {
    if (document.hidden || !all().some((row) => row.dataset.state === "running")) return;
    const response = await fetch(location.pathname).catch(() => null);
    if (!response || !response.ok || response.redirected) return;
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html").getElementById("rows");
    if (!fresh) return;
    const ticked = all().filter((row) => row.querySelector("[name=run]").checked).map((row) => row.dataset.name);
    rows.replaceChildren(...fresh.children);
    for (const row of all()) row.querySelector("[name=run]").checked = ticked.includes(row.dataset.name);
    sort();
    filter();
    count();
  };

  bar.addEventListener("input", filter);
  filter();
  const sides = document.querySelector(".sides");
  if (sides) {
    sides.classList.add("automatic");
    sides.addEventListener("change", () => sides.submit());
  }
  if (!form) return;
  search.addEventListener("keydown", (event) => event.key === "Enter" && event.preventDefault());
  rows.addEventListener("change", count);
  for (const head of form.querySelectorAll("th[data-sort]")) {
    head.tabIndex = 0;
    const choose = () => {
      // names from a to z, all else from the highest down
      const first = head.dataset.sort !== "name";
      const down = sorted && sorted.key === head.dataset.sort ? !sorted.down : first;
      sorted = { key: head.dataset.sort, column: [...head.parentNode.children].indexOf(head), down };
      for (const each of form.querySelectorAll("th")) each.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      sort();
    };
    head.addEventListener("click", choose);
    head.addEventListener("keydown", (event) => event.key === "Enter" && (event.preventDefault(), choose()));
  }
  count();
  setInterval(refresh, REFRESH_MS);
})();
