/** The element with an id. */
export const byId = (id) => document.getElementById(id);

/**
 * Make an element. Text among the children is never read as HTML: subjects of emails come this way.
 * A function among the attributes listens to the event of that name; false, null and undefined leave one out.
 */
export function make(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  const meant = (value) => value !== false && value !== null && value !== undefined;
  for (const [key, value] of Object.entries(attributes).filter(([, value]) => meant(value))) {
    if (typeof value === "function") made.addEventListener(key, value);
    else made.setAttribute(key, value);
  }
  made.append(...children.filter(meant));
  return made;
}

/** Show a text, or hide the element where there is none. */
export function say(element, text) {
  element.textContent = text;
  element.hidden = !text;
}

/** Replace what is in a place; the focus stays where it was, if an element of the same id is there again. */
export function refill(place, ...children) {
  const focused = place.contains(document.activeElement) ? document.activeElement.id : "";
  place.replaceChildren(...children);
  if (focused) byId(focused)?.focus({ preventScroll: true });
}
