/* What the waiting page says in each state. Pure: an event of the progress stream goes in, words come out.
   A time inside a sentence is {time: unix seconds}. Printed into the page after gpuqueue-words.js. */

const WAITS = ["queued", "held"];
const CHIPS = {
  asking: ["Asking", "paper-plane", "waiting"],
  queued: ["Waiting", "hourglass-half", "waiting"],
  held: ["On hold", "pause", "warn"],
  unknown: ["Cluster not reachable", "plug-circle-xmark", "warn"],
  lost: ["Connection lost", "plug-circle-xmark", "warn"],
  admitted: ["Your turn", "bell", "turn"],
  starting: ["Starting", "rocket", "turn"],
  restarting: ["Restarting", "rotate-right", "running"],
  stopping: ["Stopping", "stop", "ended"],
  ready: ["Ready", "circle-check", "running"],
  cancelled: ["Cancelled", "xmark", "ended"],
  failed: ["Failed", "circle-xmark", "bad"],
};
const SLOW = 120; // seconds after which a Hub that has not taken a request up again is no longer normal

/** Which state an event puts the page in. */
function stateOf(event) {
  if (event.ready) return "ready";
  if (event.failed) return event.message === "Spawn cancelled" ? "cancelled" : "failed";
  if (event.state === "queued" && event.code === "capacity-unknown") return "unknown";
  if (event.state in CHIPS) return event.state;
  return "asking";
}

/** Everything the page shows; `lost`: {since, status} while nobody answers, `seen`: when the last event came. */
function describe(event, { now, seen, lost = null, cancelled = false }) {
  const state = cancelled ? "cancelled" : lost ? "lost" : stateOf(event);
  const waits = WAITS.includes(event.state) && event.place > 0;
  const page = {
    state,
    chip: CHIPS[state],
    title: waits ? `${ordinal(event.place)} of ${event.of}` : CHIPS[state][0],
    place: waits && !["cancelled", "failed", "ready"].includes(state) ? { at: ordinal(event.place), of: ` of ${event.of}` } : null,
    line: waits && !["cancelled", "failed", "ready"].includes(state) ? event.line || [] : [],
    steps: [], alert: "", when: null, drawHours: false, cancel: "", again: false,
  };
  return Object.assign(page, SAY[state](event, { now, seen, lost, waits }));
}

const SAY = {
  asking: (event) => ({
    eyebrow: "Your request", headline: "Asking for your place", words: "",
    when: { eyebrow: "Start", headline: "No estimate yet" },
    lead: event.message || "The queue is being asked.", proof: [],
    foot: "You can close this page.", cancel: "Cancel request",
  }),

  queued: (event, { now }) => ({
    eyebrow: "Your place", words: aroundMe(event),
    when: latestStart(event, now), drawHours: event.start > now + 60,
    lead: event.lead || "Waits for its turn.", proof: [event.proof, ...lastMoved(event)],
    foot: "You can close this page. Your place is kept.", cancel: "Cancel request",
  }),

  held: (event) => ({
    eyebrow: "Your place, kept for you", words: "Others may start while you are on hold. Your place does not change.",
    when: { eyebrow: "Start", headline: "No estimate while on hold", words: ["It comes back with the release."] },
    lead: event.lead || "The GPU team put this request on hold.",
    proof: [event.proof, "Only they can release it. You need to do nothing; you may cancel it."],
    foot: "You can close this page. Your place is kept.", cancel: "Cancel request",
  }),

  unknown: (event, { seen }) => ({
    eyebrow: "Your place, kept", words: "Nobody starts until it answers, so nobody passes you.",
    when: {
      eyebrow: "As of", headline: [{ time: seen }],
      words: ["No estimate until it answers again. We would only be guessing."],
    },
    lead: event.lead || "The cluster does not say which GPUs are free.",
    proof: [event.proof, "Running notebooks run on. Your request is stored and goes on by itself."],
    foot: "You can close this page. Your place is kept.", cancel: "Cancel request",
  }),

  lost: (event, { now, seen, lost, waits }) => ({
    eyebrow: waits ? "Your place, kept" : "Your request", headline: waits ? "" : "Kept",
    words: waits ? [`As it was at `, { time: seen }, "."] : "",
    when: {
      eyebrow: "Last answer", headline: seen ? [{ time: seen }] : "None yet",
      words: ["No estimate until there is an answer again. We would only be guessing."],
    },
    ...whyLost(lost, now), foot: "You can close this page. Your request is stored and goes on by itself.",
  }),

  admitted: (event) => starting(event, "Your turn", 0, `Your turn: the notebook starts${onNode(event)}.`),
  starting: (event) => starting(event, "Starting the notebook", 1, ""),
  restarting: (event) => starting(event, "Restarting the notebook", 1, ""),

  stopping: (event) => ({
    eyebrow: "Your request", headline: "An earlier notebook is ending", words: "",
    when: { eyebrow: "Start", headline: "No estimate yet" },
    lead: event.message || "What was started before has to end first.",
    proof: ["What it holds is given out again only when its last process is gone."],
    foot: "You can close this page.", cancel: "Cancel request",
  }),

  ready: () => ({
    eyebrow: "Your notebook", headline: "Ready", words: "This page opens it now.", lead: "The notebook answers.", proof: [], foot: "",
    alert: "Ready. The notebook opens.",
  }),

  cancelled: () => ({
    eyebrow: "Your request", headline: "Cancelled", words: "Nothing else is lost.",
    lead: "This request was cancelled.", proof: ["It has left the queue."], foot: "Nothing in your home folder was touched.", again: true,
  }),

  failed: (event) => ({
    eyebrow: "Could not start", headline: "It did not start", words: "",
    when: {
      eyebrow: "What to do", headline: "",
      words: ["Change what you asked for and start again. If it is not your doing, write to the GPU team", event.job ? ` and name job ${event.job}.` : "."],
    },
    lead: (event.message || "No reason was given.").replace(/^Spawn failed:?\s*/, "") || "No reason was given.", proof: [],
    foot: "Nothing in your home folder was touched.", again: true,
    alert: "The notebook did not start.",
  }),
};

function aroundMe(event) {
  const ahead = event.place - 1;
  const behind = event.of - event.place;
  if (!ahead && !behind) return "Nobody else waits.";
  if (!ahead) return `You are first, ${count(behind, "job")} behind you.`;
  return `Numbers are GPUs. ${count(ahead, "job is", "jobs are")} ahead of you, ${behind || "none"} behind.`;
}

function latestStart(event, now) {
  if (!event.start) return { eyebrow: "Start", headline: "No estimate yet" };
  if (event.start <= now + 60) return { eyebrow: "Starts", headline: "Any moment" };
  const most = duration(roundUp(event.start - now));
  return {
    eyebrow: "Starts at the latest about", headline: [{ time: roundUp(event.start) }],
    words: [`In about ${most}. Sooner if somebody stops early; later only if somebody extends or comes back to an older place.`],
  };
}

function lastMoved(event) {
  return event.moved ? ["Last moved ", { time: event.moved }, "."] : [];
}

function onNode(event) {
  const node = event.node || event.placement?.node;
  return node ? ` on ${node}` : "";
}

function starting(event, headline, step, alert) {
  const gpus = gpuWords(event.resources?.gpus);
  const names = ["Admitted", "Starting the notebook", "Ready"];
  return {
    eyebrow: `Starting${onNode(event)}`, headline, alert,
    words: gpus ? `Your ${gpus} ${gpuCount(event.resources.gpus) === 1 ? "is" : "are"} yours from now on.` : "",
    steps: names.map((word, at) => ({
      word, kind: at < step + 1 ? (at === step ? "doing" : "done") : "todo", detail: at === 0 && gpus ? gpus + onNode(event) : "",
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
  return { lead: "This takes longer than it should.", proof: ["Your request may have ended meanwhile: see My jobs."] };
}
