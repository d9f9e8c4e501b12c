"use strict";
(() => {
  const all = (query, within = document) => Array.from(within.querySelectorAll(query));
  for (const button of all("[data-copy]")) {
    button.addEventListener("click", () => {
      const text = document.getElementById(button.dataset.copy).textContent;
      navigator.clipboard.writeText(text).then(() => { button.textContent = "copied"; }, () => {});
    });
  }
  // The same block is marked in every chart, and said in one line each.
  const readout = document.getElementById("readout");
  for (const column of all(".col")) {
    column.addEventListener("pointerenter", () => {
      const same = all(`.col[data-col="${column.dataset.col}"]`);
      all(".col.on").forEach((other) => other.classList.remove("on"));
      same.forEach((other) => other.classList.add("on"));
      readout.textContent = same.map((other) => other.dataset.say).join("\n");
    });
  }
  const rungs = document.getElementById("rungs");
  if (!rungs) return;
  for (const box of all("[data-show]")) {
    const show = () => rungs.classList.toggle(box.dataset.show, box.checked);
    box.addEventListener("change", show);
    show();
  }
  for (const button of all("[data-fold]")) {
    button.addEventListener("click", () => {
      all("details.part", rungs).forEach((part) => { part.open = button.dataset.fold === "open"; });
    });
  }
  const filter = document.getElementById("filter");
  filter.addEventListener("input", () => {
    const wanted = filter.value.trim().toLowerCase();
    for (const rung of all(".rung", rungs)) {
      const text = `${rung.title} ${rung.textContent}`.toLowerCase();
      rung.classList.toggle("out", wanted !== "" && !text.includes(wanted));
    }
    for (const part of all("details.part", rungs)) {
      const hit = wanted === "" || all(".rung:not(.out)", part).length > 0;
      const named = part.querySelector("summary").textContent.toLowerCase().includes(wanted);
      part.hidden = !(hit || named);
    }
  });
})();
