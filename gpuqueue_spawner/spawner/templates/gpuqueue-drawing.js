/* The two drawings of the waiting page: the line by size, and the hours to come. Both repeat what the words say.
   The service draws the same line in Python (service/views/line.py). Printed into the page after gpuqueue-words.js. */

const TALLEST_STACK = 16; // cells of one stack
const CLOSE_BY = 0.06; // of the width: circles that are closer would lie on each other

function svg(name, attributes = {}, text = "") {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text) element.textContent = text;
  return element;
}

function html(name, className = "", text = "") {
  const element = document.createElement(name);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}

function drawStack(gpus) {
  const cells = Math.min(gpus, TALLEST_STACK);
  const width = cells ? 2 + 12 * Math.floor((cells - 1) / 2) + 12 : 26;
  const stack = svg("svg", { viewBox: `0 0 ${width} 26`, "aria-hidden": "true" });
  if (!cells) stack.append(svg("rect", { x: 2, y: 19, width: 22, height: 5, rx: 2 }));
  for (let n = 0; n < cells; n += 1) {
    stack.append(svg("rect", { x: 2 + 12 * Math.floor(n / 2), y: n % 2 ? 2 : 14, width: 10, height: 10, rx: 2 }));
  }
  return stack;
}

function drawJob({ gpus, kind }) {
  const words = gpus ? count(gpus, "GPU") : "no GPU";
  const item = html("li", `gq-${kind}`);
  const label = html("span");
  if (kind === "me") {
    label.append("You", html("span", "visually-hidden", `, ${words}`));
  } else {
    const number = html("span", "", String(gpus));
    number.ariaHidden = "true";
    label.append(number, html("span", "visually-hidden", words));
  }
  item.append(drawStack(gpus), label);
  return item;
}

/** Put the line into a list; the queue sends a dozen jobs around one's own place, the rest are numbers. */
function drawLine(list, line, { place, of }) {
  const before = place - 1 - line.findIndex((job) => job.kind === "me");
  const after = of - before - line.length;
  const more = (n) => (n > 0 ? [html("li", "gq-gap", `… ${n.toLocaleString("en-GB")} more`)] : []);
  list.replaceChildren(...more(before), ...line.map(drawJob), ...more(after));
}

/** Draw now, the latest start at four fifths, and the hours between; everything in percent, so it needs no size. */
function drawHours(target, { now, start, releases = [], clock }) {
  const span = (start - now) / 0.8;
  const at = (time) => `${Math.max(0, Math.min(100, ((time - now) / span) * 100)).toFixed(1)}%`;
  const parts = [
    svg("line", { class: "gq-base", x1: "0", x2: "100%", y1: 28, y2: 28 }),
    svg("rect", { class: "gq-band", x: "0", y: 12, width: "80%", height: 32, rx: 6 }),
  ];
  const step = [3600, 7200, 21600, 86400, 604800].find((each) => span / each <= 6) || span;
  for (let tick = Math.ceil(now / step) * step; tick < now + span; tick += step) {
    parts.push(svg("line", { class: "gq-tick", x1: at(tick), x2: at(tick), y1: 24, y2: 32 }));
  }
  parts.push(svg("circle", { class: "gq-now", cx: 5, cy: 28, r: 5 }));
  for (const release of together(releases.filter((each) => each.at > now && each.at < now + span), CLOSE_BY * span)) {
    parts.push(svg("circle", { class: "gq-release", cx: at(release.at), cy: 28, r: 10 }));
    parts.push(svg("text", { class: "gq-count", x: at(release.at), y: 32, "text-anchor": "middle" }, String(release.gpus)));
  }
  parts.push(svg("text", { class: "gq-nowtext", x: "0", y: 62 }, "now"));
  const anchor = clock.length > 5 ? "end" : "middle"; // "tomorrow, 04:00" would reach over the edge of a phone
  parts.push(svg("text", { x: "80%", y: 62, "text-anchor": anchor }, clock));
  target.replaceChildren(...parts);
}

/** Releases with those soon after them counted in; each at the time of its last. */
function together(releases, within) {
  const groups = [];
  for (const { at, gpus } of [...releases].sort((one, other) => one.at - other.at)) {
    const last = groups.at(-1);
    if (last && at - last.first < within) Object.assign(last, { at, gpus: last.gpus + gpus });
    else groups.push({ first: at, at, gpus });
  }
  return groups;
}
