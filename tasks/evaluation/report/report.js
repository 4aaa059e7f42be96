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
(() => {
  const pictures = [...document.querySelectorAll("img.picture")];
  if (!pictures.length) return;
  const dialog = document.createElement("dialog");
  dialog.className = "enlarged";
  dialog.setAttribute("aria-label", "Enlarged example");
  document.body.append(dialog);
  let shown = null;

  const button = (label, text, act) => {
    const made = document.createElement("button");
    made.type = "button";
    made.setAttribute("aria-label", label);
    made.textContent = text;
    made.addEventListener("click", act);
    return made;
  };

  const show = (picture) => {
    shown = picture;
    const large = document.createElement("img");
    large.src = picture.src;
    large.alt = picture.alt;
    // pixels of a drawn scene stay pixels: smoothed, a small image looks like a blurred large one
    if (picture.naturalWidth < 200) large.classList.add("pixels");
    const answers = document.createElement("div");
    answers.className = "answers";
    const parts = [...picture.closest("article").cloneNode(true).children];
    answers.append(...parts.filter((part) => !part.matches("img, header")));
    for (const row of answers.querySelectorAll("[hidden]")) row.hidden = false;
    const bar = document.createElement("nav");
    bar.append(
      ...parts.find((part) => part.matches("header")).children,
      button("Previous example", "‹", () => step(-1)),
      button("Next example", "›", () => step(1)),
      button("Close", "✕", () => dialog.close()),
    );
    dialog.replaceChildren(bar, large, answers);
    if (!dialog.open) dialog.showModal();
  };

  const step = (by) => {
    const among = pictures.filter((one) => !one.closest("[hidden]") && same(one));
    const next = among[among.indexOf(shown) + by];
    if (next) show(next);
  };
  // the summary's examples are also in the gallery
  const same = (one) => one.closest(".grid") === shown.closest(".grid");

  for (const picture of pictures) {
    picture.tabIndex = 0;
    picture.setAttribute("role", "button");
    picture.setAttribute("aria-label", `Enlarge ${picture.alt}`);
    picture.addEventListener("click", () => show(picture));
  }
  document.addEventListener("keydown", (event) => {
    if (dialog.open && (event.key === "ArrowLeft" || event.key === "ArrowRight")) {
      step(event.key === "ArrowRight" ? 1 : -1);
    } else if (event.key === "Enter" && !dialog.open) {
      const focused = document.activeElement;
      const picture = focused.matches("img.picture") ? focused : focused.matches("article") && focused.querySelector("img.picture");
      if (picture) {
        event.preventDefault();
        show(picture);
      }
    }
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  dialog.addEventListener("close", () => shown && shown.focus());
})();
