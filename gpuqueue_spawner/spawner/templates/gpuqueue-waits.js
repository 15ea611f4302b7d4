/* When each choice of the spawn form would start: as the page came, kept current, and for exactly what is entered, which
   only the Hub can read (spawner/form.py). Knows `form` and `data` of gpuqueue-form.js; printed into the page before it. */

const EVERY = 10000; // ms between two questions; what is free changes slower than people read
const PAUSE = 600; // ms without a key before it is asked for what is entered
const NEAR = 3 * 3600; // seconds up to which a wait is said as a length, not as a time
const EXACT = "as entered"; // key of what is entered
const LIVE_STORED = "gpuqueue-live";

let waits = {}; // by profile, profile and changed option, or EXACT
let exactly = ""; // what was entered when waits[EXACT] was asked for
let silent = false; // the last question had no answer: no number is shown rather than an old one
let asked = 0; // unix seconds of the numbers that are shown
let pause = 0;
let asking = null;

function setUpWaits() {
  waits = readWaits(data);
  silent = !data.dataset.refresh;
  asked = silent ? 0 : Date.now() / 1000;
  for (const kind of ["input", "change"]) form.addEventListener(kind, whenEntered);
  whenEntered();
  const toggle = inPage("live");
  inPage("gq-live").hidden = false;
  toggle.checked = localStorage.getItem(LIVE_STORED) !== "off";
  toggle.addEventListener("change", () => {
    localStorage.setItem(LIVE_STORED, toggle.checked ? "on" : "off");
    keepCurrent();
  });
  document.addEventListener("visibilitychange", keepCurrent);
  setInterval(keepCurrent, EVERY);
  showUpdated();
}

function readWaits(root) {
  const items = [...root.querySelectorAll("#gq-choices > li")];
  return Object.fromEntries(items.map(({ dataset: { key, kind, words, start } }) => [key, { kind, words, start: start ? Number(start) : null }]));
}

/* ---- what is entered ------------------------------------------------------------------------------------------------ */

/** Everything that the wait depends on, as it would be submitted. */
function entered() {
  const all = [...new FormData(form)];
  const prefix = `profile-option-${new FormData(form).get("profile")}--`;
  return new URLSearchParams(all.filter(([name]) => name === "profile" || name === "hours" || name.startsWith(prefix))).toString();
}

/** The first free number of the chosen profile that is not filled in yet. */
function emptyField() {
  const chosen = form.querySelector("input[name=profile]:checked")?.closest(".gq-profile");
  return [...(chosen?.querySelectorAll(".gq-other input") || [])].find((field) => !field.disabled && !field.value.trim());
}

function isChosen(slug) {
  return new FormData(form).get("profile") === slug;
}

/** The wait for a profile with its options as they are; undefined: it has to be asked for. */
function waitOf(slug) {
  const listed = listedWait(slug);
  if (!isChosen(slug) || (listed && usualHours())) return listed;
  return exactly === entered() ? waits[EXACT] : undefined;
}

/** The wait that came with the page: at most one option is another than by default. */
function listedWait(slug) {
  const prefix = `profile-option-${slug}--`;
  const selects = [...form.querySelectorAll("select")].filter((select) => select.id.startsWith(prefix));
  const changed = selects.filter((select) => ![...select.options].find((option) => option.selected && isDefault(option)));
  const free = [...form.querySelectorAll("input[type=text]")].some((field) => field.id.startsWith(prefix) && !field.disabled);
  if (free || changed.length > 1) return undefined;
  return waits[changed.length ? `${slug}--${changed[0].id.slice(prefix.length)}--${changed[0].value}` : slug];
}

/** Whether it is the site's default choice, whatever the user had chosen the last time. */
function isDefault(option) {
  return "default" in option.dataset;
}

function usualHours() {
  const hours = inPage("gpuqueue-hours").value.trim();
  return !hours || Number(hours) === Number(data.dataset.hours);
}

/* ---- saying it ------------------------------------------------------------------------------------------------------- */

function showWaits() {
  for (const place of form.querySelectorAll("[data-when]")) {
    const [icon, tone, words] = wordWait(waitOf(place.dataset.when), isChosen(place.dataset.when));
    const key = `${icon} ${words}`;
    if (place.dataset.shown === key) continue;
    place.dataset.shown = key;
    const radio = place.closest(".gq-profile").querySelector("input[name=profile]");
    radio.disabled = !radio.checked && icon === "ban" && !radio.closest(".gq-profile").querySelector(".gq-options");
    place.className = `gq-when ${tone}`;
    const symbol = html("i", `fa fa-${icon}`);
    symbol.ariaHidden = "true";
    place.replaceChildren(...(words ? [symbol, words] : []));
  }
  showChosen();
}

/** Icon, tone and words beside a profile. */
function wordWait(wait, chosen) {
  if (!wait && !silent) return ["hourglass-half", "gq-when-never", chosen && !emptyField() ? "…" : ""];
  if (wait?.kind === "refused") return ["ban", "gq-when-never", "not possible"];
  if (wait?.kind === "now") return ["circle-check", "gq-when-now", "free now"];
  if (wait?.kind === "never") return ["ban", "gq-when-never", lowered(wait.words) || "fits nowhere as it is"];
  if (!wait?.start) return ["circle-question", "gq-when-never", "not known right now"];
  const left = wait.start - Date.now() / 1000;
  if (left < NEAR) return ["hourglass-half", "", anyMoment(left) ? "any moment" : `at most ${atMost(left)}`];
  return ["hourglass-half", "", `at the latest ${wordTime(new Date(roundUp(wait.start) * 1000), "about")}`];
}

/** One sentence above the button, read out when it has changed and not while it is being asked for. */
function showChosen() {
  const wait = waitOf(new FormData(form).get("profile"));
  const place = inPage("gq-chosen");
  place.ariaBusy = String(!wait && !silent && !emptyField());
  const words = wordChosen(wait);
  if (place.textContent !== words) place.textContent = words;
}

function wordChosen(wait) {
  const empty = emptyField();
  if (empty) return `Fill in “${labelOf(empty)}” to see when this starts.`;
  if (!wait && !silent) return "When this starts is being looked up.";
  if (["never", "refused"].includes(wait?.kind) && wait.words) return wait.words;
  if (wait?.kind === "now") return "This is free now.";
  if (!wait?.start) return `When this starts is not known right now.${wait?.words ? ` ${wait.words}` : ""}`;
  const words = wordWait(wait, true)[2];
  return words === "any moment" ? "This starts any moment." : `This starts ${words.startsWith("at most") ? words.replace("at most", "in at most") : words}.`;
}

function labelOf(field) {
  return form.querySelector(`label[for="${CSS.escape(field.id)}"]`)?.textContent.trim() || field.name;
}

function lowered(words) {
  return words ? (words[0].toLowerCase() + words.slice(1)).replace(/\.$/, "") : "";
}

function showUpdated() {
  if (!asked) return;
  inPage("gq-updated").dateTime = new Date(asked * 1000).toISOString();
  localiseTimes(inPage("gq-live"));
}

/* ---- asking ---------------------------------------------------------------------------------------------------------- */

function whenEntered() {
  clearTimeout(pause);
  if (mustAsk()) pause = setTimeout(askTheHub, PAUSE);
  showWaits();
}

function mustAsk() {
  return !emptyField() && !waitOf(new FormData(form).get("profile"));
}

/** Ask for this page anew, with what is entered; without an argument in its address, which would start the server. */
async function askTheHub() {
  asking?.abort();
  asking = new AbortController();
  const wanted = entered();
  let fresh = null;
  try {
    const answer = await fetch(location.pathname, {
      headers: { Accept: "text/html", "X-GPUQueue-Entered": wanted }, cache: "no-store", redirect: "manual", signal: asking.signal,
    });
    if (answer.type === "opaqueredirect") { outdated(); return; }
    if (answer.ok) fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("gq-form");
  } catch (fault) {
    if (fault.name === "AbortError") return; // something else was entered meanwhile
  }
  if (fresh && fresh.dataset.entered !== wanted) fresh = null; // meant for another tab, which asked at the same moment
  if (!fresh?.dataset.refresh) { nobodyAnswers(); return; }
  Object.assign(data.dataset, { refresh: fresh.dataset.refresh, ticket: fresh.dataset.ticket });
  exactly = wanted;
  takeWaits(readWaits(fresh));
}

async function keepCurrent() {
  if (document.hidden || !inPage("live").checked) return;
  const { refresh, ticket } = data.dataset;
  if (!refresh) { await askTheHub(); return; }
  let answer = null;
  try {
    answer = await fetch(`${refresh}?ticket=${encodeURIComponent(ticket)}`, { cache: "no-store", redirect: "manual" });
  } catch { /* nobody answers: said below */ }
  if (answer?.status === 401) { await askTheHub(); return; } // open for longer than its ticket is good
  if (!answer?.ok) { nobodyAnswers(); return; }
  const said = await answer.json();
  takeWaits(said.waits);
  if (said.shown) showRoom(said.shown);
  if (mustAsk()) await askTheHub();
}

function takeWaits(fresh) {
  waits = fresh;
  silent = false;
  asked = Date.now() / 1000;
  inPage("gq-link").textContent = "";
  if (inPage("gq-away")) inPage("gq-away").hidden = true;
  showUpdated();
  showWaits();
}

function nobodyAnswers() {
  waits = {};
  silent = true;
  inPage("gq-link").textContent = "The queue does not answer";
  showWaits();
}

function outdated() {
  nobodyAnswers();
  inPage("gq-link").textContent = "No longer current: reload the page";
}
