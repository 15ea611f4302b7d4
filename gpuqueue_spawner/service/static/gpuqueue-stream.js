/* One event stream that comes back by itself. EventSource gives up for good after one answer other than 200, which a
   restart of the Hub, the proxy or the manager brings about; and it does not say which answer it was.
   Hub pages print this file into the page; the service's pages load it as a module. */

const FIRST_PAUSE = 1000; // ms before the second try; grows to LONGEST_PAUSE
const LONGEST_PAUSE = 10000;
// ms without a byte: lost. The Hub sends an empty line every 8 s, the queue every 5 s; and when one of them is killed,
// configurable-http-proxy keeps the browser's side of the connection open, so that nothing else tells.
const SILENCE = 18000;

/** Split off the complete events of a text; returns what they carry, and the rest. */
export function splitEvents(text) {
  const blocks = text.replaceAll("\r\n", "\n").split("\n\n");
  const rest = blocks.pop();
  const events = [];
  for (const block of blocks) {
    const data = block.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trim());
    if (data.length) events.push(data.join("\n"));
  }
  return { events, rest };
}

/** Follow `url` until the returned function is called.
    `onEvent(text)` gets each event; `onState(state, status)` gets "open", "lost" (status 0: no answer), "refused". */
export function followStream(url, { onEvent, onState, onEnd = () => {} }) {
  let stopped = false;
  let abort = new AbortController();
  let pause = FIRST_PAUSE;
  let wake = () => {};

  async function read() {
    abort = new AbortController();
    let guard = setTimeout(() => abort.abort(), SILENCE);
    const alive = () => { clearTimeout(guard); guard = setTimeout(() => abort.abort(), SILENCE); };
    try {
      const answer = await fetch(url, {
        headers: { Accept: "text/event-stream" }, cache: "no-store", redirect: "manual", signal: abort.signal,
      });
      if (answer.type === "opaqueredirect" || answer.status === 401 || answer.status === 403) return ["refused", answer.status];
      if (!answer.ok) return ["lost", answer.status];
      onState("open", answer.status);
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) { onEnd(); return ["lost", 200]; }
        alive();
        pause = FIRST_PAUSE;
        const split = splitEvents(text + value);
        text = split.rest;
        for (const event of split.events) if (!stopped) onEvent(event);
      }
    } catch (fault) {
      if (!(fault instanceof TypeError || fault.name === "AbortError")) throw fault; // TypeError: fetch found nobody
      return ["lost", 0];
    } finally {
      clearTimeout(guard);
      abort.abort(); // an answer that nobody reads would keep one of the browser's six connections
    }
  }

  async function run() {
    while (!stopped) {
      const [state, status] = await read();
      if (stopped) return;
      onState(state, status);
      await new Promise((resolve) => { wake = resolve; setTimeout(resolve, pause * (0.75 + Math.random() / 2)); });
      pause = Math.min(LONGEST_PAUSE, pause * 1.6);
    }
  }

  const now = () => { pause = FIRST_PAUSE; wake(); };
  addEventListener("online", now);
  run();
  return () => { stopped = true; removeEventListener("online", now); abort.abort(); wake(); };
}
