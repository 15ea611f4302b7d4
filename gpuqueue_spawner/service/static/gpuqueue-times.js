/* Times in the reader's own zone. The server prints UTC, which is true without this script.
   The browser knows the zone's rules, so a change to summer time between now and then comes out right.
   Hub pages print this file into the page; the service's pages load it as a module. */

const LANGUAGE = "en-GB"; // the wording of the pages is English, with 24 hours
const formats = {
  clock: new Intl.DateTimeFormat(LANGUAGE, { hour: "2-digit", minute: "2-digit" }),
  seconds: new Intl.DateTimeFormat(LANGUAGE, { hour: "2-digit", minute: "2-digit", second: "2-digit" }),
  date: new Intl.DateTimeFormat(LANGUAGE, { weekday: "long", day: "numeric", month: "long", year: "numeric" }),
  weekday: new Intl.DateTimeFormat(LANGUAGE, { weekday: "long" }),
  day: new Intl.DateTimeFormat(LANGUAGE, { day: "numeric", month: "short" }),
  dayOfYear: new Intl.DateTimeFormat(LANGUAGE, { day: "numeric", month: "short", year: "numeric" }),
  full: new Intl.DateTimeFormat(LANGUAGE, { dateStyle: "full", timeStyle: "long" }),
};

/** Whole days from `now` to `when` on the reader's calendar; a day may have 23 or 25 hours. */
function daysBetween(now, when) {
  const midnight = (date) => Date.UTC(date.getFullYear(), date.getMonth(), date.getDate());
  return Math.round((midnight(when) - midnight(now)) / 86400000);
}

/** Word a Date: "13:42", "tomorrow, 04:00", "Sunday, 22:31", "3 Nov, 22:31"; an estimate "tomorrow, about 04:00". */
export function wordTime(when, form = "clock", now = new Date()) {
  if (form !== "clock" && form !== "about") return formats[form].format(when);
  const clock = (form === "about" ? "about " : "") + formats.clock.format(when);
  const days = daysBetween(now, when);
  if (days === 0) return clock;
  if (days === 1) return `tomorrow, ${clock}`;
  if (days === -1) return `yesterday, ${clock}`;
  if (Math.abs(days) < 7) return `${formats.weekday.format(when)}, ${clock}`;
  const sameYear = when.getFullYear() === now.getFullYear();
  return `${(sameYear ? formats.day : formats.dayOfYear).format(when)}, ${clock}`;
}

/** Rewrite every <time data-form> under `root`. */
export function localiseTimes(root, now = new Date()) {
  for (const time of root.querySelectorAll("time[data-form][datetime]")) {
    const when = new Date(time.dateTime);
    const text = wordTime(when, time.dataset.form, now);
    if (time.textContent !== text) time.textContent = text;
    const full = formats.full.format(when);
    if (time.title !== full) time.title = full;
  }
}
