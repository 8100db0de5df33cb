// What is said of a day or a cell, at once and also to a finger. Without this script browsers show it by themselves.
const tip = document.createElement("div");
tip.id = "tip";
tip.hidden = true;
document.body.append(tip);

// Else the browser would show the same a second time.
for (const title of document.querySelectorAll("svg title")) {
  const of = title.parentElement;
  if (of.tagName === "svg") of.setAttribute("aria-label", title.textContent);
  else of.dataset.tooltip = title.textContent;
  title.remove();
}
for (const cell of document.querySelectorAll(".heat [title]")) {
  cell.dataset.tooltip = cell.title;
  cell.removeAttribute("title");
}

function show(event) {
  const tooltip = event.target.closest?.("[data-tooltip]")?.dataset.tooltip;
  tip.hidden = !tooltip;
  if (!tooltip) return;
  tip.textContent = tooltip;
  const { width, height } = tip.getBoundingClientRect();
  const left = Math.min(event.clientX + 14, innerWidth - width - 8);
  const above = event.clientY + 18 + height > innerHeight;
  // In the page, not in the window: it moves with what it speaks of.
  tip.style.left = `${scrollX + Math.max(8, left)}px`;
  tip.style.top = `${scrollY + (above ? Math.max(8, event.clientY - height - 12) : event.clientY + 18)}px`;
}
for (const name of ["pointermove", "pointerdown"]) document.addEventListener(name, show);
document.documentElement.addEventListener("pointerleave", (event) => {
  // A finger leaves with every tap.
  if (event.pointerType === "mouse") tip.hidden = true;
});

// The newest days are at the right.
for (const box of document.querySelectorAll(".scroll:has(.heat)")) box.scrollLeft = box.scrollWidth;

// They cannot be unfolded on paper.
addEventListener("beforeprint", () => {
  for (const each of document.querySelectorAll("#champion > .scroll details")) each.open = true;
});
