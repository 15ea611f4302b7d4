/* Numbers as people read them; Python words the same (model/numbers.py, service/views/words.py).
   Printed into Hub pages, before the scripts that use it. */

function ordinal(n) {
  const teens = n % 100 >= 11 && n % 100 <= 13;
  return `${n.toLocaleString("en-GB")}${teens ? "th" : { 1: "st", 2: "nd", 3: "rd" }[n % 10] || "th"}`;
}

function count(n, one, many = `${one}s`) {
  return `${n.toLocaleString("en-GB")} ${n === 1 ? one : many}`;
}

/** "40 min", "1 h 22 min", "3 days 2 h"; whole minutes, rounded down. */
function duration(seconds) {
  if (seconds < 60) return "under 1 min";
  const minutes = Math.floor(seconds / 60);
  const days = Math.floor(minutes / 1440);
  if (days >= 2) return [count(days, "day"), hoursOf(minutes % 1440)].filter(Boolean).join(" ");
  return [hoursOf(minutes), minutes % 60 ? `${minutes % 60} min` : ""].filter(Boolean).join(" ");
}

function hoursOf(minutes) {
  return minutes >= 60 ? `${Math.floor(minutes / 60)} h` : "";
}

/** Up to the next five minutes: a lease end is not known better. */
function roundUp(seconds) {
  return Math.ceil(seconds / 300) * 300;
}

/** The longest that something should take: "about 1 h 25 min". */
function atMost(seconds) {
  return `about ${duration(roundUp(seconds))}`;
}

/** Whether a wait is too short to be told as one. */
function anyMoment(seconds) {
  return seconds <= 60;
}

/** "4 GPUs", with the resource name where it is not the usual one; empty for none. */
function gpuWords(gpus = {}) {
  return Object.entries(gpus).map(([name, n]) => {
    const kind = name === "nvidia.com/gpu" ? "" : ` (${name.replace("nvidia.com/", "")})`;
    return count(n, "GPU") + kind;
  }).join(" and ");
}

function gpuCount(gpus = {}) {
  return Object.values(gpus).reduce((sum, n) => sum + n, 0);
}

/** "64 GB", as the Hub's settings count them: 1 GB = 1024 MB. */
function memoryWords(bytes) {
  const units = ["bytes", "KB", "MB", "GB", "TB"];
  let step = 0;
  let value = bytes;
  while (value >= 1024 && step < units.length - 1) { value /= 1024; step += 1; }
  return `${Math.round(value * 10) / 10} ${units[step]}`;
}
