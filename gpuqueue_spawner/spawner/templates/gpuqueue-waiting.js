/* The waiting page: follows the Hub's progress stream and fills the one frame that every state shares.
   Printed into the page after gpuqueue-times.js, -stream.js, -words.js, -drawing.js and -states.js. */

const page = document.getElementById("main");
const part = (name) => document.getElementById(`gq-${name}`);
const LIVE = "gpuqueue-live";
const GRACE = 4000; // ms without an answer before it is said: most restarts are shorter
const CHANGES = 3;

let event = {};
let seen = 0; // unix seconds of the last event
let failing = null; // the connection, since when; becomes `lost`, and shown, when it lasts
let lost = null;
let cancelled = false;
let stop = null;
let graceTimer = 0;
let changes = [];

const unixNow = () => Date.now() / 1000;

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Put words with times in them into an element, touching it only when they changed. */
function setWords(element, words) {
  const parts = [words ?? ""].flat(2).filter(Boolean);
  const key = JSON.stringify(parts) + new Date().toDateString();
  if (element.dataset.words === key) return;
  element.dataset.words = key;
  element.replaceChildren(...parts.flatMap((each, at) => {
    const gap = at && typeof each === "string" && /^[A-Z“]/.test(each) ? [" "] : [];
    if (typeof each === "string") return [...gap, each];
    const time = html("time");
    time.dateTime = new Date(each.time * 1000).toISOString();
    time.dataset.form = "clock";
    return [time];
  }));
  localiseTimes(element);
}

function show() {
  const view = describe(event, { now: unixNow(), seen, lost, cancelled });
  const [word, icon, tone] = view.chip;
  part("hero").className = `gq-card gq-hero gq-${tone}`;
  part("hero").dataset.state = view.state;
  part("chip").className = `gq-chip gq-${tone}`;
  part("chip-icon").className = `fa fa-${icon}`;
  setText(part("chip-word"), word);
  document.title = [view.title, page.dataset.name, "JupyterHub"].filter(Boolean).join(" · ");
  setText(part("eyebrow"), view.eyebrow);
  part("place").classList.toggle("gq-words", !view.place);
  setText(part("place-at"), view.place ? view.place.at : view.headline || "");
  setText(part("place-of"), view.place ? view.place.of : "");
  setWords(part("words"), view.words);
  showLine(view);
  showWhen(view);
  showSteps(view);
  setText(part("lead"), view.lead);
  setWords(part("proof"), view.proof);
  setText(part("foot"), view.foot);
  part("again").hidden = !view.again;
  part("reload").hidden = !view.reload;
  showOver(FINAL.includes(view.state));
  part("cancel").hidden = !view.cancel;
  if (view.cancel) setText(part("cancel-word"), view.cancel);
  setWords(part("cancel-lost"), whatIsLost());
  if (view.alert) setText(part("alert"), view.alert);
}

/** Nothing comes any more: no switch for updates, no open question. */
function showOver(over) {
  part("switch").hidden = over;
  if (seen) setText(part("updated-words"), over ? "Ended " : "Updated ");
  if (over) part("cancel").open = false;
}

function showLine(view) {
  const key = JSON.stringify([event.place, event.of, view.line]);
  const list = part("line");
  list.hidden = !view.line.length;
  if (list.dataset.key !== key) { list.dataset.key = key; drawLine(list, view.line, event); }
}

function showWhen(view) {
  part("when").hidden = !view.when;
  if (!view.when) return;
  setText(part("when-eyebrow"), view.when.eyebrow);
  part("when-big").classList.toggle("gq-words", typeof view.when.headline === "string");
  setWords(part("when-big"), view.when.headline);
  setWords(part("when-words"), view.when.words);
  part("hours").toggleAttribute("hidden", !view.drawHours);
  if (view.drawHours) {
    const start = roundUp(event.start);
    drawHours(part("hours"), { now: unixNow(), start, releases: event.releases, clock: wordTime(new Date(start * 1000)) });
  }
  part("key").hidden = !view.drawHours || !part("hours").querySelector(".gq-release");
}

function showSteps(view) {
  const list = part("steps");
  const key = JSON.stringify(view.steps);
  list.hidden = !view.steps.length;
  if (list.dataset.key === key) return;
  list.dataset.key = key;
  list.replaceChildren(...view.steps.map(({ word, kind, detail }, at) => {
    const item = html("li", `gq-${kind}`);
    if (kind === "doing") item.ariaCurrent = "step";
    const dot = html("span", "gq-dot", kind === "todo" ? String(at + 1) : "");
    if (kind !== "todo") dot.append(html("i", `fa fa-${kind === "done" ? "check" : "circle-notch"}`));
    const what = html("div", "", word);
    what.append(html("span", "visually-hidden", { done: ", done", doing: ", now", todo: ", to come" }[kind]));
    if (detail) what.append(html("br"), html("small", "gq-muted", detail));
    item.append(dot, what);
    return item;
  }));
}

/** What cancelling costs, and who gains. */
function whatIsLost() {
  if (event.state === "starting" || event.state === "restarting" || event.state === "admitted") {
    const gpus = gpuWords(event.resources?.gpus);
    return gpus ? `${gpus} ${gpuCount(event.resources.gpus) === 1 ? "goes" : "go"} back for the next in line.` : "Its place on the server goes back.";
  }
  return event.place ? `You give up ${ordinal(event.place)} place. Nothing else is lost.` : "Nothing else is lost.";
}

function showFacts() {
  const { resources = {}, lease, queued, job, profile } = event;
  const facts = {
    profile, gpus: gpuWords(resources.gpus), lease: lease ? `${duration(lease)}, counted from when the notebook is ready` : "", job: job ? String(job) : "",
    size: resources.cpus || resources.memory ? `${Math.round(resources.cpus * 100) / 100}, ${memoryWords(resources.memory)}` : "",
    queued: queued ? [{ time: queued }] : "",
  };
  for (const [name, words] of Object.entries(facts)) {
    part(`fact-${name}`).hidden = !words?.length;
    setWords(part(`fact-${name}-words`), words);
  }
  part("request").hidden = !job;
  if (event.name) {
    page.dataset.name = event.name;
    setText(part("name"), event.name);
    setText(part("cancel-name"), `Cancel ${event.name}?`);
  }
  part("story").hidden = !job;
  if (job) part("story").href = `${page.dataset.jobs}jobs/${job}`;
}

/** Keep the last three things that happened. */
function note(before) {
  if (!changes.length && event.queued) changes.push([event.queued, "Asked."]);
  if (!before.job && event.moved && event.place) changes.unshift([event.moved, `Now ${ordinal(event.place)}.`]);
  const words = whatChanged(before, event);
  if (words) changes.unshift([unixNow(), words]);
  showChanges();
}

function showChanges() {
  changes = changes.slice(0, CHANGES);
  part("changes-card").hidden = !changes.length;
  const list = part("changes");
  const key = JSON.stringify(changes);
  if (list.dataset.key === key) return;
  list.dataset.key = key;
  list.replaceChildren(...changes.map(([at, what]) => {
    const item = html("li");
    const row = html("div");
    const strong = html("strong");
    setWords(strong, [{ time: at }]);
    row.append(strong, `\u2002${what}`);
    item.append(row);
    return item;
  }));
}

function whatChanged(before, after) {
  if (!before.job) return "";
  if (after.ready || after.failed) return `${CHIPS[stateOf(after)][0]}.`;
  const [was, is] = [stateOf(before), stateOf(after)];
  const back = { held: "Released.", unknown: "The queue goes on.", away: "The queue answers again." }[was];
  if (was !== is) return (is === "queued" && back) || `${CHIPS[is][0]}${onNode(after)}.`;
  if (before.place && after.place && before.place !== after.place) return `From ${ordinal(before.place)} to ${ordinal(after.place)}.`;
  return "";
}

function take(text) {
  const next = JSON.parse(text);
  const before = event;
  event = next.ready || next.failed ? { ...event, ...next, state: undefined } : next;
  seen = unixNow();
  lost = null;
  showSeen();
  if (!next.ready && !next.failed) showFacts();
  note(before);
  show();
  if (next.ready || next.failed) end();
  if (next.ready) location.reload(); // the Hub then sends the browser on, to where it wanted to go
}

function showSeen() {
  part("updated").dateTime = new Date(seen * 1000).toISOString();
  localiseTimes(part("live"));
}

function connection(state, status) {
  if (state === "open" || cancelled) {
    clearTimeout(graceTimer);
    failing = null;
    return;
  }
  failing = { since: failing?.since ?? unixNow(), status, refused: state === "refused" };
  const say = () => { lost = failing; show(); };
  clearTimeout(graceTimer);
  const left = failing.since * 1000 + GRACE - Date.now();
  if (lost || failing.refused || left <= 0) say();
  else graceTimer = setTimeout(say, left);
}

function end() {
  clearTimeout(graceTimer);
  stop?.();
  stop = null;
}

function follow() {
  if (!stop && !cancelled) stop = followStream(page.dataset.progress, { onEvent: take, onState: connection });
}

async function cancel(submitted) {
  submitted.preventDefault();
  const button = part("cancel-yes");
  if (button.ariaDisabled === "true") return;
  button.ariaDisabled = "true";
  setText(button, "Cancelling…");
  setText(part("alert-shown"), "");
  end(); // the Hub calls a server ready for a moment while it cancels one
  try {
    const answer = await fetch(page.dataset.cancel, { method: "DELETE", headers: { "X-XSRFToken": page.dataset.xsrf } });
    if (!answer.ok && answer.status !== 404) throw new Error(`The Hub answered ${answer.status}.`);
    cancelled = true;
    lost = null;
    seen = unixNow();
    changes.unshift([seen, "Cancelled."]);
    showSeen();
    showChanges();
    show();
    part("again-link").focus();
  } catch (fault) {
    const why = fault instanceof TypeError ? "The Hub does not answer." : fault.message;
    setText(part("alert-shown"), `Not cancelled: ${why} Your request still waits.`);
    follow();
  } finally {
    button.ariaDisabled = "false";
    setText(button, "Yes, cancel it");
  }
}

function setUp() {
  const toggle = document.getElementById("live");
  toggle.checked = localStorage.getItem(LIVE) !== "off";
  toggle.addEventListener("change", () => {
    localStorage.setItem(LIVE, toggle.checked ? "on" : "off");
    if (toggle.checked) follow(); else end();
  });
  part("cancel-form").addEventListener("submit", cancel);
  document.addEventListener("keydown", (pressed) => {
    if (pressed.key !== "Escape" || !part("cancel").open) return;
    part("cancel").open = false;
    part("cancel").querySelector("summary").focus();
  });
  setInterval(() => { if (stop) show(); }, 30000); // "in about 40 min" gets less without an event
  localiseTimes(document);
  show();
  follow(); // also where live updates are off: once, to have something to show
  if (!toggle.checked) setTimeout(end, 2000);
}

setUp();
