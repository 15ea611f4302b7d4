/* What the waiting page says in each state. Pure: an event of the progress stream goes in, words come out.
   A time inside a sentence is {time: unix seconds}. Printed into the page after gpuqueue-words.js. */

const CHIPS = {
  asking: ["Asking", "paper-plane", "waiting"],
  queued: ["Waiting", "hourglass-half", "waiting"],
  held: ["On hold", "pause", "warn"],
  unknown: ["Queue paused", "plug-circle-xmark", "warn"],
  away: ["Queue not reachable", "plug-circle-xmark", "warn"],
  lost: ["Connection lost", "plug-circle-xmark", "warn"],
  admitted: ["Your turn", "bell", "turn"],
  starting: ["Starting", "rocket", "turn"],
  restarting: ["Restarting", "rotate-right", "running"],
  stopping: ["Trying again", "rotate-right", "warn"],
  ready: ["Ready", "circle-check", "running"],
  cancelled: ["Cancelled", "xmark", "ended"],
  failed: ["Failed", "circle-xmark", "bad"],
};
const FINAL = ["ready", "cancelled", "failed"];
const STEPS = { turn: 0, permit: 0, launching: 1, answering: 1, ready: 2 }; // by the spawner's phase
const SLOW = 120; // seconds after which a Hub that has not taken a request up again is no longer normal
const CLOSE = "You can close this page. Your place is kept.";
const CANCELLED = /^Spawn cancelled|^(Spawn failed: )?This request was (cancelled|stopped)/;

/** Which state an event puts the page in. */
function stateOf(event) {
  if (event.ready) return "ready";
  if (event.failed) return CANCELLED.test(event.message) ? "cancelled" : "failed";
  if (event.reachable === false) return "away";
  if (event.phase === "failed" && event.job) return "stopping";
  if (event.state === "queued" && event.code === "capacity-unknown") return "unknown";
  if (event.state === "running") return "starting"; // it answers; the Hub has not said so yet
  return event.state in CHIPS ? event.state : "asking";
}

/** Everything the page shows; `lost`: {since, status} while nobody answers, `seen`: when the last event came. */
function describe(event, { now, seen, lost = null, cancelled = false }) {
  const state = cancelled ? "cancelled" : lost ? "lost" : stateOf(event);
  const waits = ["queued", "held"].includes(event.state) && event.place > 0 && !FINAL.includes(state);
  const page = {
    state, chip: CHIPS[state],
    title: waits ? `${ordinal(event.place)} of ${event.of}` : CHIPS[state][0],
    place: waits ? { at: ordinal(event.place), of: ` of ${event.of}` } : null,
    line: waits ? event.line || [] : [],
    words: "", headline: "", when: null, drawHours: false, steps: [], proof: [], alert: "", cancel: "", again: false, reload: false,
  };
  return Object.assign(page, SAY[state](event, { now, seen, lost, waits }));
}

const SAY = {
  asking: (event) => ({
    eyebrow: "Your request", headline: event.phase === "ending" ? "The last one is ending" : "Asking for your place",
    when: { eyebrow: "Start", headline: "No estimate yet" },
    lead: event.message || "The queue is being asked.", foot: "You can close this page.", cancel: "Cancel request",
  }),

  queued: (event, { now }) => ({
    eyebrow: "Your place", headline: "In the queue", words: aroundMe(event),
    when: latestStart(event, now), drawHours: Boolean(event.start) && !anyMoment(event.start - now),
    lead: event.lead || "Waits for its turn.", proof: [event.back, event.proof, ...lastMoved(event)], foot: CLOSE, cancel: "Cancel request",
  }),

  held: (event) => ({
    eyebrow: "Your place, kept for you", headline: "Kept", words: "Others may start while you are on hold. Your place does not change.",
    when: { eyebrow: "Start", headline: "No estimate while on hold", words: ["It comes back with the release."] },
    lead: event.lead || "The GPU team put this request on hold.",
    proof: [sentence(event.proof), "Only they can release it. You need to do nothing; you may cancel it."], foot: CLOSE, cancel: "Cancel request",
  }),

  unknown: (event, { seen }) => ({
    eyebrow: "Your place, kept", headline: "Kept", words: "Nobody starts at the moment, so nobody passes you.",
    when: guessing("As of", seen),
    lead: event.lead || "Nobody can say which GPUs are free.",
    proof: [event.back, event.proof, "Running notebooks run on. Your request is stored and goes on by itself."], foot: CLOSE, cancel: "Cancel request",
  }),

  away: (event, { seen, waits }) => ({
    eyebrow: waits ? "Your place, kept" : "Your request", headline: "Kept", words: waits ? "As it was when the queue last answered." : "",
    when: guessing("As of", seen),
    lead: "The queue does not answer.", proof: ["It is asked every few seconds. Running notebooks run on; your request goes on by itself."],
    foot: event.job ? CLOSE : "You can close this page.", cancel: "Cancel request",
  }),

  lost: (event, { now, seen, lost, waits }) => ({
    eyebrow: waits ? "Your place, kept" : "Your request", headline: "Kept", words: waits ? ["As it was at ", { time: seen }, "."] : "",
    when: guessing("Last answer", seen), ...whyLost(lost, now),
    foot: "You can close this page. Your request is stored and goes on by itself.",
  }),

  admitted: (event) => starting(event, "Your turn"),
  starting: (event) => starting(event, "Starting the notebook"),
  restarting: (event) => starting(event, "Restarting the notebook"),

  stopping: (event) => ({
    eyebrow: "Your request", headline: "That start failed", words: "What was started is being ended first. While a try is left, your request then goes on from its old place.",
    when: { eyebrow: "Start", headline: "No estimate yet" },
    lead: sentence(event.message || "The last try is being cleared away."),
    proof: ["What it held is given out again once its last process is gone."], foot: "You can close this page.", cancel: "Cancel request",
  }),

  ready: () => ({
    eyebrow: "Your notebook", headline: "Ready", words: "This page opens it now.", lead: "The notebook answers.", foot: "",
    alert: "Ready. The notebook opens.",
  }),

  cancelled: (event) => ({
    eyebrow: "Your request", headline: "Cancelled", words: "Nothing else is lost.",
    lead: event.failed && !event.message.startsWith("Spawn cancelled") ? reasonOf(event) : "This request was cancelled.",
    proof: ["It has left the queue."], foot: "Nothing in your home folder was touched.", again: true,
  }),

  failed: (event) => ({
    eyebrow: "Could not start", headline: "It did not start", lead: reasonOf(event),
    when: {
      eyebrow: "What to do",
      words: ["Change what you asked for and start again. If it is not your doing, write to the GPU team", event.job ? ` and name job ${event.job}.` : "."],
    },
    foot: "Nothing in your home folder was touched.", again: true, alert: "The notebook did not start.",
  }),
};

function reasonOf(event) {
  return sentence((event.message || "").replace(/^Spawn failed:?\s*/, "") || "No reason was given");
}

function sentence(words) {
  return !words || /[.!?]”?$/.test(words) ? words : `${words}.`;
}

function guessing(eyebrow, seen) {
  const words = ["No estimate until there is an answer again. We would only be guessing."];
  return { eyebrow, headline: seen ? [{ time: seen }] : "No answer yet", words };
}

function aroundMe(event) {
  const ahead = event.place - 1;
  const behind = event.of - event.place;
  if (!ahead && !behind) return "Nobody else waits.";
  if (!ahead) return `You are first, ${count(behind, "job")} behind you.`;
  return `Numbers are GPUs. ${count(ahead, "job is", "jobs are")} ahead of you, ${behind || "none"} behind.`;
}

function latestStart(event, now) {
  if (!event.start) return { eyebrow: "Start", headline: "No estimate yet" };
  if (anyMoment(event.start - now)) return { eyebrow: "Starts", headline: "Any moment" };
  return {
    eyebrow: "Starts at the latest about", headline: [{ time: roundUp(event.start) }],
    words: [`In ${atMost(event.start - now)}. Sooner if somebody stops early; later only if somebody extends or comes back to an older place.`],
  };
}

function lastMoved(event) {
  return event.moved ? ["Last moved ", { time: event.moved }, "."] : [];
}

function onNode(event) {
  return event.node ? ` on ${event.node}` : "";
}

function starting(event, headline) {
  const gpus = gpuWords(event.resources?.gpus);
  const step = STEPS[event.phase] ?? (event.state === "admitted" ? 0 : 1);
  const kinds = ["done", "doing", "todo"];
  const details = [`${gpus}${onNode(event)}`.trim(), event.phase === "answering" ? "Waiting for its first answer" : "", ""];
  return {
    eyebrow: `Starting${onNode(event)}`, headline,
    alert: event.state === "admitted" ? `Your turn: the notebook starts${onNode(event)}.` : "",
    words: gpus ? `Your ${gpus} ${gpuCount(event.resources.gpus) === 1 ? "is" : "are"} yours from now on.` : "",
    steps: ["Admitted", "Starting the notebook", "Ready"].map((word, at) => ({
      word, detail: details[at], kind: kinds[Math.sign(at - step) + 1],
    })),
    lead: event.message || "The notebook is being started.",
    proof: event.lease ? [`Your ${duration(event.lease)} count from the moment the notebook is ready.`] : [],
    foot: "This page opens the notebook by itself.", cancel: "Stop the start",
  };
}

function whyLost(lost, now) {
  if (lost.refused) return { lead: "You are logged out.", proof: ["Reload the page to log in again. Your place is kept."], reload: true };
  const restarted = lost.status >= 400 && lost.status < 500;
  if (!restarted) return { lead: "The Hub does not answer.", proof: ["This page tries again every few seconds."] };
  if (now - lost.since < SLOW) {
    return { lead: "The Hub was restarted.", proof: ["The queue hands it your request again by itself, in its place."] };
  }
  return { lead: "This takes longer than it should.", proof: ["Your request may have ended meanwhile: see My jobs."], reload: true };
}
