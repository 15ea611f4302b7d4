/* The spawn form: free numbers; a warning before a request is replaced; the room; what was entered survives a refusal.
   Printed into the page after gpuqueue-times.js, -words.js, -drawing.js and -waits.js. */

const form = document.getElementById("spawn_form");
const data = document.getElementById("gq-form");
const inPage = (id) => document.getElementById(id);

let first = ""; // the choices as they were when the page came

localiseTimes(document);
setUpOthers();
keepEntered();
if (data) {
  first = entered();
  for (const kind of ["input", "change"]) form.addEventListener(kind, showReplaces);
  showReplaces();
  setUpWaits();
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

/* ---- a request that waits already --------------------------------------------------------------------------------- */

function showReplaces() {
  inPage("gq-replaces").hidden = !inPage("gq-open") || entered() === first;
}

/* ---- the room ------------------------------------------------------------------------------------------------------- */

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
  if (free) free.textContent = room.unknown ? "Last known state" : `${room.words} ${room.unit} free now`;
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
