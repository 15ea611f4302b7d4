/* On the Hub's page for a server that does not run: while a request waits, or nobody can tell, look whether the Hub has
   taken it up again, and go on then. Asks for this very page, which another one answers once the start is there. */

const LOOK_EVERY = 5000; // ms
const SAID = ["gq-title", "gq-words", "start"];

async function look() {
  try {
    const answer = await fetch(location.href, { cache: "no-store", redirect: "manual", headers: { Accept: "text/html" } });
    if (answer.type === "opaqueredirect") { location.reload(); return; }
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.querySelector("#main[data-comesback]");
    if (fresh) say(page, fresh);
    else if (answer.ok) { location.reload(); return; } // not while the proxy answers that the Hub is away
  } catch { /* nobody answers: the next look will tell */ }
  lookLater();
}

function say(page, fresh) {
  document.getElementById("main").dataset.comesback = fresh.dataset.comesback;
  for (const id of SAID) {
    const [shown, words] = [document.getElementById(id), page.getElementById(id)?.textContent];
    if (shown && words && shown.textContent !== words) shown.textContent = words;
  }
}

function lookLater() {
  if (document.getElementById("main").dataset.comesback) setTimeout(look, LOOK_EVERY);
}

lookLater();
