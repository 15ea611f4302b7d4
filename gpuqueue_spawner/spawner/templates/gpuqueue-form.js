/* The spawn form: the wait beside each profile, kept current; free numbers; a warning before a request is replaced;
   what was entered survives a refusal. Printed into the page after gpuqueue-times.js, -words.js and -drawing.js. */

const EVERY = 10000; // ms between two questions; what is free changes slower than people read
const NEAR = 3 * 3600; // seconds up to which a wait is said as a length, not as a time
const LIVE_STORED = "gpuqueue-live";

const form = document.getElementById("spawn_form");
const data = document.getElementById("gq-form");
const inPage = (id) => document.getElementById(id);

let waits = readWaits();
let asked = 0; // unix seconds of the numbers that are shown
let first = ""; // the choices as they were when the page came

localiseTimes(document);
setUpOthers();
keepEntered();
if (data) {
  asked = Date.now() / 1000;
  first = choices();
  form.addEventListener("change", showWaits);
  form.addEventListener("input", showReplaces);
  showWaits();
  if (data.dataset.refresh) setUpRefresh();
}

function readWaits() {
  const items = [...document.querySelectorAll("#gq-choices > li")];
  return Object.fromEntries(items.map(({ dataset: { key, kind, words, start } }) => [key, { kind, words, start: start ? Number(start) : null }]));
}

/* ---- free numbers: "Other…" opens a field, and only one of the two is sent -------------------------------------- */

function setUpOthers() {
  for (const select of form.querySelectorAll("select[data-other]")) {
    select.dataset.name = select.name;
    select.addEventListener("change", () => showOther(select, true));
    showOther(select, false);
  }
  form.addEventListener("change", ({ target }) => {
    if (target.name === "profile") for (const select of form.querySelectorAll("select[data-other]")) showOther(select, false);
  });
}

function showOther(select, focus) {
  const field = inPage(select.dataset.other);
  const other = select.value === "unlisted-choice";
  const chosen = select.closest(".gq-profile").querySelector("input[name=profile]").checked;
  field.closest(".gq-other").hidden = !other;
  field.disabled = !other || !chosen; // a field of another profile, unseen and empty, would keep the form from being sent
  field.required = other;
  if (other) select.removeAttribute("name"); else select.name = select.dataset.name;
  if (other && focus) field.focus();
}

/* ---- waits ------------------------------------------------------------------------------------------------------- */

function showWaits() {
  for (const place of form.querySelectorAll("[data-when]")) {
    const [icon, tone, words] = wordWait(waitOf(place.dataset.when));
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
  showReplaces();
}

/** The wait for a profile with the options as they are chosen; null: it was not asked for. */
function waitOf(slug) {
  const prefix = `profile-option-${slug}--`;
  const selects = [...form.querySelectorAll("select")].filter((select) => select.id.startsWith(prefix));
  const changed = selects.filter((select) => ![...select.options].find((option) => option.selected && isDefault(option)));
  const free = [...form.querySelectorAll("input[type=text]")].some((field) => field.id.startsWith(prefix) && !field.disabled);
  if (!changed.length && !free) return waits[slug] || null;
  if (free || changed.length > 1) return null;
  const [select] = changed;
  return waits[`${slug}--${select.id.slice(prefix.length)}--${select.value}`] || null;
}

/** Whether it is the site's default choice, whatever the user had chosen the last time. */
function isDefault(option) {
  return "default" in option.dataset;
}

function wordWait(wait) {
  if (!wait) return ["circle-question", "gq-when-never", Object.keys(waits).length ? "wait not looked up" : "no estimate"];
  const now = Date.now() / 1000;
  if (wait.kind === "now") return ["circle-check", "gq-when-now", "free now"];
  if (wait.kind === "never") return ["ban", "gq-when-never", lowered(wait.words) || "fits nowhere as it is"];
  if (wait.kind !== "wait" || !wait.start) return ["hourglass-half", "gq-when-never", "no estimate"];
  const left = wait.start - now;
  if (left < NEAR) return ["hourglass-half", "", left < 60 ? "any moment" : `at most about ${duration(roundUp(left))}`];
  return ["hourglass-half", "", `at the latest about ${wordTime(new Date(roundUp(wait.start) * 1000))}`];
}

function lowered(words) {
  return words ? (words[0].toLowerCase() + words.slice(1)).replace(/\.$/, "") : "";
}

/* ---- a request that waits already --------------------------------------------------------------------------------- */

function choices() {
  const profile = new FormData(form).get("profile");
  const prefix = `profile-option-${profile}--`;
  return JSON.stringify([...new FormData(form)].filter(([name]) => name === "profile" || name === "hours" || name.startsWith(prefix)));
}

function showReplaces() {
  inPage("gq-replaces").hidden = !inPage("gq-open") || choices() === first;
}

/* ---- keeping current ----------------------------------------------------------------------------------------------- */

function setUpRefresh() {
  const toggle = inPage("live");
  inPage("gq-live").hidden = false;
  toggle.checked = localStorage.getItem(LIVE_STORED) !== "off";
  toggle.addEventListener("change", () => {
    localStorage.setItem(LIVE_STORED, toggle.checked ? "on" : "off");
    refreshForm();
  });
  document.addEventListener("visibilitychange", refreshForm);
  setInterval(refreshForm, EVERY);
  showUpdated();
}

async function refreshForm() {
  if (document.hidden || !inPage("live").checked) return;
  const { refresh, ticket } = data.dataset;
  let answer = null;
  try {
    answer = await fetch(`${refresh}?ticket=${encodeURIComponent(ticket)}`, { cache: "no-store", redirect: "manual" });
  } catch { /* nobody answers: said below */ }
  if (!answer?.ok) {
    inPage("gq-link").textContent = answer?.status === 401 ? "No longer current: reload the page" : "The queue does not answer";
    return;
  }
  const said = await answer.json();
  inPage("gq-link").textContent = "";
  waits = said.waits;
  asked = Date.now() / 1000;
  showUpdated();
  showWaits();
  if (said.shown) showRoom(said.shown);
}

function showUpdated() {
  inPage("gq-updated").dateTime = new Date(asked * 1000).toISOString();
  localiseTimes(inPage("gq-live"));
}

function showRoom({ room, queue, limits }) {
  for (const [id, facts] of [["gq-queue", queue], ["gq-limits", limits]]) {
    const key = JSON.stringify(facts);
    const list = inPage(id);
    if (!list || list.dataset.key === key) continue;
    list.dataset.key = key;
    list.replaceChildren(...facts.map(([term, words]) => {
      const pair = html("div");
      pair.append(html("dt", "", term), html("dd", "", words));
      return pair;
    }));
  }
  for (const node of room.nodes) drawNode(node, room.columns);
  const free = inPage("room")?.parentElement.querySelector("p");
  if (free) free.textContent = room.unknown ? "Last known state" : `${room.words} GPUs free now`;
}

function drawNode(node, columns) {
  const row = inPage(node.id);
  const key = JSON.stringify([node.words, node.blocks]);
  if (!row || row.dataset.key === key) return;
  row.dataset.key = key;
  row.querySelector(".gq-node-head > span").textContent = node.words;
  const cells = row.querySelector("ol");
  cells.className = `gq-cells gq-of${columns}`;
  cells.replaceChildren(...node.blocks.map((block) => {
    const item = html("li", `gq-${block.kind} gq-n${block.n}`);
    const cell = html("span", "gq-block");
    for (let n = 0; n < block.n; n += 1) {
      const one = html("b");
      if (block.icon) one.append(html("i", `fa fa-${block.icon}`));
      cell.append(one);
    }
    item.append(cell);
    if (block.until) {
      const time = html("time");
      Object.assign(time, { dateTime: block.until.iso, textContent: block.until.text });
      time.dataset.form = block.until.form;
      item.append(block.n >= 3 ? "until " : "", time);
    } else item.append(block.label);
    return item;
  }));
  localiseTimes(cells);
}

/* ---- a refusal keeps what was entered ------------------------------------------------------------------------------- */

function keepEntered() {
  const stored = `gpuqueue-form ${location.pathname}`;
  form.addEventListener("submit", () => {
    sessionStorage.setItem(stored, JSON.stringify([...new FormData(form)].filter(([, value]) => typeof value === "string")));
    const button = inPage("gq-start");
    button.ariaDisabled = "true";
    button.textContent = "Starting…";
  });
  addEventListener("pageshow", () => { inPage("gq-start").ariaDisabled = "false"; inPage("gq-start").textContent = "Start"; });
  const refused = inPage("gq-refused");
  if (refused) {
    restore(JSON.parse(sessionStorage.getItem(stored) || "[]"));
    markFields(inPage("gq-refused-words"));
  } else {
    sessionStorage.removeItem(stored);
  }
}

function restore(entries) {
  for (const [name, value] of entries) {
    for (const field of form.querySelectorAll(`[name="${CSS.escape(name)}"]`)) {
      if (field.type === "radio") field.checked = field.value === value; else field.value = value;
    }
    const select = [...form.querySelectorAll("select[data-other]")].find((each) => each.dataset.other === name);
    if (!select) continue;
    select.value = "unlisted-choice";
    showOther(select, false);
    inPage(name).value = value;
  }
}

/** Mark each field that the refusal names, and lead there: "GPUs is '12'; allowed is …. hours is '99'; allowed is …." */
function markFields(words) {
  const sentences = words.textContent.trim().split(/(?<=\.) (?=[^';]+ is ')/);
  words.replaceChildren(...sentences.flatMap((sentence, at) => [at ? html("br") : "", markField(sentence)]));
}

function markField(sentence) {
  const named = { job_name: "gpuqueue-name", hours: "gpuqueue-hours" };
  const label = sentence.match(/^(.+?) is '/)?.[1];
  const chosen = form.querySelector("input[name=profile]:checked")?.closest(".gq-profile");
  const labels = [...(chosen || form).querySelectorAll("label.form-label")].filter((each) => each.textContent.trim() === label);
  let field = inPage(named[label]) || labels.map((each) => inPage(each.htmlFor)).find((each) => each && !each.disabled);
  if (field?.value === "unlisted-choice") field = inPage(field.dataset.other);
  if (!label || !field) return sentence;
  field.classList.add("is-invalid");
  field.ariaInvalid = "true";
  const called = form.querySelector(`label[for="${CSS.escape(field.id)}"]`)?.textContent.trim() || label;
  const link = html("a", "", called + sentence.slice(label.length));
  link.href = `#${field.id}`;
  return link;
}
