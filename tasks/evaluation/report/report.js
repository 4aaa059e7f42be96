"use strict";
if (new URLSearchParams(location.search).has("print")) addEventListener("load", () => print());
(() => {
  const bar = document.getElementById("filters");
  if (!bar) return;
  const cards = [...document.querySelectorAll(".example")].map((card) => ({
    card,
    text: card.textContent.toLowerCase(),
    units: card.dataset.states === undefined ? [...card.querySelectorAll("tbody tr")] : [card],
  }));
  const status = document.getElementById("shown");
  const search = bar.elements.search;

  const unitFits = (unit, type, states) => {
    const has = unit.dataset.states.split(" ");
    return (!type || unit.dataset.type === type) && states.every((state) => !state || has.includes(state));
  };

  const filter = () => {
    const { source, rank, type, state, change } = Object.fromEntries(new FormData(bar));
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const { card, text, units } of cards) {
      const fitting = units.filter((unit) => {
        const fits = unitFits(unit, type, [state, change]);
        if (unit !== card) unit.hidden = !fits;
        return fits;
      });
      card.hidden =
        (source && card.dataset.source !== source) ||
        (rank && card.dataset.rank !== rank) ||
        !fitting.length ||
        !words.every((word) => text.includes(word));
      shown += card.hidden ? 0 : 1;
    }
    status.textContent = `${shown} of ${cards.length}`;
  };

  const step = (by) => {
    const visible = cards.map(({ card }) => card).filter((card) => !card.hidden);
    const at = visible.indexOf(document.activeElement.closest(".example"));
    const next = visible[at < 0 ? (by > 0 ? 0 : visible.length - 1) : at + by];
    if (next) next.focus();
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.closest("input, select");
    if (event.key === "Escape" && typing === search) {
      search.value = "";
      filter();
      search.blur();
    } else if (typing) {
      return;
    } else if (event.key === "/") {
      event.preventDefault();
      search.focus();
    } else if (event.key === "j" || event.key === "k") {
      step(event.key === "j" ? 1 : -1);
    }
  });
  bar.addEventListener("input", filter);
  bar.addEventListener("submit", (event) => event.preventDefault());
  bar.addEventListener("reset", () => setTimeout(filter));
  bar.hidden = false;
  filter();
})();
