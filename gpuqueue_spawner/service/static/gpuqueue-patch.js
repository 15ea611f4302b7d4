/* Bring an open page up to date in place: elements keep their identity by id, so focus, open details and what is typed
   stay, and nothing jumps. Under [data-keyed] each child is one thing (a card, a row): one that the reader is at right
   now is left alone, and its list keeps its order, until they leave it. */

const AT_REST = 10000; // ms after which a pointer or a focus that does not move holds nothing back
let lastMove = -Infinity;
for (const kind of ["pointermove", "pointerdown", "keydown"]) {
  addEventListener(kind, () => { lastMove = performance.now(); }, { passive: true, capture: true });
}

/** Hold nothing back until the reader moves again: they acted, and want to see what came of it. */
export function letGo() {
  lastMove = -Infinity;
}

/** Whether the reader is at this element right now. */
function isHeld(element) {
  if (element.querySelector("details.gq-confirm[open], input[type=checkbox]:checked")) return true;
  if (performance.now() - lastMove > AT_REST) return false;
  return element.matches(":hover") || element.contains(document.activeElement);
}

function sameKind(old, fresh) {
  return old.nodeType === fresh.nodeType && old.nodeName === fresh.nodeName && (old.id || "") === (fresh.id || "");
}

function patchAttributes(old, fresh) {
  const keepsOpen = old.nodeName === "DETAILS";
  for (const { name, value } of [...fresh.attributes]) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !(keepsOpen && name === "open")) old.removeAttribute(name);
  }
}

function patchChildren(old, fresh) {
  const keyed = old.hasAttribute("data-keyed");
  let complete = true;
  if (keyed && [...old.children].some(isHeld)) {
    for (const next of fresh.children) {
      const present = next.id && [...old.children].find((child) => sameKind(child, next));
      if (present && !isHeld(present)) patchNode(present, next);
    }
    return false; // order, additions and removals come when the reader has left
  }
  const byId = new Map([...old.children].filter((child) => child.id).map((child) => [child.id, child]));
  let at = old.firstChild;
  for (const next of [...fresh.childNodes]) {
    let match = next.id ? byId.get(next.id) : at;
    if (!next.id) while (match && !sameKind(match, next)) match = match.nextSibling;
    if (match && sameKind(match, next)) {
      if (match !== at) old.insertBefore(match, at); else at = at.nextSibling;
      complete = patchNode(match, next) && complete;
    } else {
      old.insertBefore(document.importNode(next, true), at);
    }
  }
  while (at) { const gone = at; at = at.nextSibling; gone.remove(); }
  return complete;
}

function patchNode(old, fresh) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
    return true;
  }
  if (old.hasAttribute("data-keep") || old.isEqualNode(fresh)) return true;
  if (["INPUT", "SELECT", "TEXTAREA"].includes(old.nodeName) && old.type !== "hidden") return true; // what people entered is theirs
  patchAttributes(old, fresh);
  return patchChildren(old, fresh);
}

/** Make `old` look like `fresh`; false: something waits until the reader has left a row. */
export function patch(old, fresh) {
  const focused = document.activeElement;
  const complete = patchChildren(old, fresh);
  if (focused && focused !== document.activeElement) {
    (focused.isConnected ? focused : old).focus({ preventScroll: true });
  }
  return complete;
}
