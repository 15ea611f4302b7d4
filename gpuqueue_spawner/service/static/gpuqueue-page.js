/* The service's pages keep themselves current: a stream says that something changed, the page fetches its own content
   anew and patches it in. Forms post in the background. Without this script the pages work by reloading. */

import { letGo, patch } from "./gpuqueue-patch.js";
import { followStream } from "./gpuqueue-stream.js";
import { localiseTimes } from "./gpuqueue-times.js";

const OFTEN = 500; // ms: at most twice a second
const SELDOM = 30000; // ms: "8 min left" gets less without anything happening
const TOO_MANY = 429; // the reader follows the queue in more places than the service lets them: this one asks SELDOM
const LOST = 4000; // ms of silence before it is said; a restart is often shorter
const AT_A_ROW = 5000; // ms until a row is tried again that the reader was at
const STORED = "gpuqueue-live";

const main = document.getElementById("main");
const { stream, xsrf } = main.dataset;
let running = null; // ends the stream
let lastTime = -Infinity;
let dirty = false;
let refreshing = false;
let acted = false;
let lostTimer = 0;

localiseTimes(document);
setUp();

function setUp() {
  if (!stream) return;
  const toggle = document.getElementById("live");
  document.getElementById("gq-switch").hidden = false;
  toggle.checked = localStorage.getItem(STORED) !== "off";
  toggle.addEventListener("change", () => {
    localStorage.setItem(STORED, toggle.checked ? "on" : "off");
    followOrNot();
  });
  document.addEventListener("visibilitychange", followOrNot); // a hidden page holds no connection
  document.addEventListener("submit", submit);
  document.addEventListener("keydown", closeOnEscape);
  followOrNot();
}

function followOrNot() {
  const wanted = document.getElementById("live").checked && !document.hidden;
  if (wanted && !running) {
    const end = followStream(`${stream}?_xsrf=${encodeURIComponent(xsrf)}`, { onEvent: () => refresh(), onState: tell });
    const beat = setInterval(() => refresh(), SELDOM);
    running = () => { end(); clearInterval(beat); clearTimeout(lostTimer); lostTimer = 0; };
  } else if (!wanted && running) {
    running();
    running = null;
    say("gq-link", "");
  }
}

/** Say on the page how the stream is. */
function tell(state, status) {
  if (state !== "lost") clearTimeout(lostTimer);
  if (state === "open") {
    lostTimer = 0;
    say("gq-link", "");
    refresh();
  } else if (state === "refused") {
    loggedOut();
  } else if (status === TOO_MANY) {
    lostTimer ||= setTimeout(() => say("gq-link", "Open in too many places: current every half minute"), LOST);
  } else {
    lostTimer ||= setTimeout(() => say("gq-link", "Not connected, trying again"), LOST);
  }
}

function loggedOut() {
  say("gq-alert", "You are logged out. Reload the page to log in again; what runs or waits is not touched.");
}

function say(id, words) {
  const element = document.getElementById(id);
  if (element && element.textContent !== words) element.textContent = words;
}

/** Fetch this page's content and patch it in, now or half a second after the last time; what comes meanwhile is one
    more. While updates are paused only an act of the reader's own does so (`always`). */
async function refresh({ always = false } = {}) {
  dirty = true;
  acted ||= always;
  if (refreshing) return;
  refreshing = true;
  try {
    while (dirty) {
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, lastTime + OFTEN - performance.now())));
      dirty = false;
      if (!running && !acted) return;
      acted = false;
      lastTime = performance.now();
      const fresh = await fetchFragment();
      if (fresh && !patch(main, fresh)) setTimeout(() => refresh(), AT_A_ROW);
    }
  } finally {
    refreshing = false;
  }
}

async function fetchFragment() {
  const address = new URL(location.href);
  address.searchParams.set("fragment", "1");
  let answer;
  try {
    answer = await fetch(address, { headers: { "X-XSRFToken": xsrf }, cache: "no-store", redirect: "manual" });
  } catch {
    return null; // the stream says that nobody answers
  }
  if (answer.type === "opaqueredirect" || answer.status === 401 || answer.status === 403) loggedOut();
  if (!answer.ok) return null;
  const parsed = new DOMParser().parseFromString(await answer.text(), "text/html");
  localiseTimes(parsed);
  if (parsed.title) document.title = parsed.title;
  return parsed.getElementById("main");
}

/** Post a form in the background; an answer that says no is read out. */
async function submit(event) {
  const form = event.target;
  if (!form.matches("form[data-live]")) return;
  event.preventDefault();
  if (form.ariaBusy === "true") return;
  form.ariaBusy = "true";
  say("gq-alert", "");
  try {
    const answer = await fetch(form.getAttribute("action"), {
      method: "POST",
      body: new URLSearchParams(new FormData(form, event.submitter)),
      headers: { Accept: "application/json", "X-XSRFToken": xsrf },
      redirect: "manual",
    });
    if (answer.ok || answer.type === "opaqueredirect") done(form);
    else say("gq-alert", (await answer.json().catch(() => ({}))).message || `Not done: the server answered ${answer.status}.`);
  } catch {
    say("gq-alert", "Not done: the queue does not answer. Try again in a moment.");
  } finally {
    form.ariaBusy = "false";
  }
}

function done(form) {
  const confirmed = form.closest("details.gq-confirm");
  if (confirmed) {
    confirmed.open = false;
    confirmed.querySelector("summary").focus({ preventScroll: true });
  }
  for (const box of form.querySelectorAll("input[type=checkbox]")) box.checked = false;
  for (const note of form.querySelectorAll("input[type=text]")) note.value = "";
  letGo();
  refresh({ always: true });
}

function closeOnEscape(event) {
  const open = event.key === "Escape" && event.target.closest("details.gq-confirm[open]");
  if (!open) return;
  open.open = false;
  open.querySelector("summary").focus();
}
