/* On the Hub's page for a server that does not run: while a request waits, look whether the Hub has taken it up again,
   and go on then. Asks for this very page, which is answered by another one once the spawn is there. */

const LOOK_EVERY = 5000; // ms

async function look() {
  try {
    const answer = await fetch(location.href, { cache: "no-store", redirect: "manual", headers: { Accept: "text/html" } });
    if (answer.type === "opaqueredirect") { location.reload(); return; }
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (answer.ok && !page.getElementById("gq-title")) { location.reload(); return; }
  } catch { /* nobody answers: the next look will tell */ }
  setTimeout(look, LOOK_EVERY);
}

if (document.getElementById("main").dataset.waits) setTimeout(look, LOOK_EVERY);
