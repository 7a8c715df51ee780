// What the page needs of the DOM. Text is always set as text, never as markup.
export const byId = (id) => document.getElementById(id);

/** Write only what changed, so that a screen reader and the selection of a reader are left alone. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** `<tag class>` with `content`: a text or child nodes. */
export function make(tag, className = "", ...content) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...content);
  return element;
}

/** Fill a <dl> with [term, text] pairs. */
export function facts(list, pairs) {
  const wanted = pairs.map(([term, text]) => `${term}\u0000${text}`).join("\u0001");
  if (list.dataset.shown === wanted) return;
  list.dataset.shown = wanted;
  list.replaceChildren(...pairs.flatMap(([term, text]) => [make("dt", "", term), make("dd", "", text)]));
}
