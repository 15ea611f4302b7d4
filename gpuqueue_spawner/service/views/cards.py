"""One job of the reader's own as a card: state, what it has, how long, why it waits, what can be done at what cost.

Knows one job and the site's rules. What is impossible is absent, and a sentence says why.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...model import Job, State
from . import chips, line, standing, words
from .frame import Site
from .moments import Words, moment

if TYPE_CHECKING:
    from ...scheduling import Wait


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What the site allows with a lease, in seconds."""

    extend_by: float = 2 * 3600.0  #: 0: extending is off
    max_extension: float = 4 * 3600.0
    warning: float = chips.ENDS_SOON


@dataclass(frozen=True, kw_only=True)
class Action:
    """A button: a link, or a form that posts."""

    word: str
    url: str
    tone: str  #: primary, quiet, stop
    icon: str = ""
    post: bool = True
    fields: tuple[tuple[str, str], ...] = ()  #: hidden fields of the form
    ask: str = ""  #: the question that is asked first; empty: none
    lost: str = ""  #: what is lost, and who gains
    yes: str = ""


@dataclass(frozen=True, kw_only=True)
class Card:
    """One job."""

    id: str
    name: str
    url: str
    chip: chips.Chip
    facts: Words
    headline: str
    extend: Action | None
    used: int | None  #: minutes of the lease; None: no bar
    of: int
    used_words: str
    line: line.Line | None
    says: tuple[Words, ...]  #: sentences, the first ones matter more
    small: tuple[Words, ...]
    can: tuple[Action, ...]
    rule: Words


def card(
    job: Job,
    *,
    site: Site,
    rules: Rules,
    now: float,
    wait: Wait | None = None,
    drawn: line.Line | None = None,
    others: int = 0,
    moved: float | None = None,
    unknown: bool = False,
) -> Card:
    """Prepare the card of one open job; `others`: waiting jobs of other people."""
    extend = _extend(job, site, rules, now)
    used, of = _used(job, now)
    return Card(
        id=f"job-{job.id}",
        name=words.title(job),
        url=site.wait(job) if job.waiting else site.story(job),
        chip=chips.of_job(job, now=now, warning=rules.warning, unknown=unknown),
        facts=_facts(job, now),
        headline=_headline(job, wait, now),
        extend=extend,
        used=used,
        of=of,
        used_words=f"{used} of {of} min",
        line=drawn,
        says=_says(job, wait, rules, now),
        small=_small(job, wait, now, moved),
        can=tuple(_can(job, wait, site, others)),
        rule=_rule(job, rules, extend, now, others),
    )


def _facts(job: Job, now: float) -> Words:
    where = f" on {job.placement.node}" if job.placement else ""
    resources = job.resources
    parts = [words.gpus(resources), words.cpus(resources.cpus), words.memory(resources.memory)]
    parts = [part for part in parts if part]
    parts[0] += where
    since = ("since ", moment(job.started, now=now)) if job.started else ("asked ", moment(job.submitted, now=now))
    return (" · ".join(parts) + " · ", *since)


def _used(job: Job, now: float) -> tuple[int | None, int]:
    if job.state is not State.RUNNING or job.started is None or job.ends is None:
        return None, 0
    of = max(1, round((job.ends - job.started) / 60))
    return min(of, max(0, int((now - job.started) // 60))), of


def _headline(job: Job, wait: Wait | None, now: float) -> str:
    if job.waiting:
        return f"{words.ordinal(wait.place)} of {wait.of:,}" if wait else "In the queue"
    if job.state is State.RUNNING and job.ends is not None:
        return f"{words.duration(job.ends - now)} left" if job.ends > now else "Its time is up"
    return {
        State.ADMITTED: "Your turn",
        State.STARTING: "Starting the notebook",
        State.RUNNING: "Running",
        State.RESTARTING: "Restarting the notebook",
        State.STOPPING: "Stopping",
    }[job.state]


def _says(job: Job, wait: Wait | None, rules: Rules, now: float) -> tuple[Words, ...]:
    if job.state is State.RUNNING and job.ends is not None:
        soon = job.ends - now <= rules.warning
        save = " Save your work; files in your home folder stay." if soon else ""
        return (("Ends ", moment(job.ends, now=now), f".{save}"),)
    if job.state in (State.ADMITTED, State.STARTING):
        return ((f"Runs for {words.duration(job.lease)}, counted from the moment the notebook is ready.",),)
    if job.state is State.RESTARTING:
        return (("What it held it keeps; its time runs on.",),)
    if job.state is State.STOPPING and job.end is None:
        lead = "Its start failed." if job.failures else "It has to start anew."
        return ((f"{lead} Once its last process is gone it is in the queue again, at its old place.",),)
    if job.state is State.STOPPING:
        return (("What it held is free once its last process is gone.",),)
    if job.state is State.HELD:
        return (("Your place is kept. No estimate while on hold.",),)
    return (_start(standing.estimate(wait, now=now)),)


def _start(estimate: standing.Estimate) -> Words:
    if estimate.at:
        return ("Starts at the latest ", estimate.at, ".")
    return ("Starts any moment.",) if estimate.words == standing.SOON else ("No estimate yet.",)


def _small(job: Job, wait: Wait | None, now: float, moved: float | None) -> tuple[Words, ...]:
    if not job.waiting:
        return ((job.message,),) if job.message and job.state in (State.ADMITTED, State.STARTING) else ()
    why = standing.why(job, wait)
    last: Words = (" Last moved ", moment(moved, now=now), ".") if moved else ()
    back = job.message if job.launch and not job.failures and job.state is State.QUEUED else ""
    return ((" ".join(filter(None, [back, why.lead, why.proof])), *last),)


def _extend(job: Job, site: Site, rules: Rules, now: float) -> Action | None:
    by = _more(job, rules)
    if by <= 0 or job.ends is None or job.ends <= now:
        return None
    return Action(
        word=f"Extend by {words.duration(by)}",
        icon="clock-rotate-left",
        tone="quiet",
        url=site.act(job, "extend"),
        fields=(("ends", f"{job.ends + by:.3f}"),),
    )


def _more(job: Job, rules: Rules) -> float:
    """Seconds that one more extension adds; 0: none is allowed."""
    if job.state is not State.RUNNING or job.ends is None:
        return 0.0
    return max(0.0, min(rules.extend_by, rules.max_extension - job.extended))


def _can(job: Job, wait: Wait | None, site: Site, others: int) -> list[Action]:
    if job.state is State.RUNNING:
        restart = Action(
            word="Restart",
            tone="quiet",
            url=site.act(job, "restart"),
            ask=f"Restart {words.title(job)}?",
            lost=f"{_keeps(job)} What is not saved is lost.",
            yes="Yes, restart it",
        )
        return [Action(word="Open", tone="primary", url=site.server(job), post=False), restart, stop(job, site, others)]
    if job.state in (State.STARTING, State.RESTARTING):
        return [_watch(job, site, "See the start"), stop(job, site, others)]
    if job.state is State.ADMITTED:
        return [_watch(job, site, "See the start"), _cancel(job, site, "You give up your turn.")]
    if job.waiting:
        place = f"You give up {words.ordinal(wait.place)} place." if wait else "You give up your place."
        return [_watch(job, site, "See the wait"), _cancel(job, site, f"{place} Nothing else is lost.")]
    return []


def _watch(job: Job, site: Site, word: str) -> Action:
    return Action(word=word, tone="quiet", url=site.wait(job), post=False)


def _cancel(job: Job, site: Site, lost: str) -> Action:
    return Action(
        word="Cancel",
        tone="stop",
        url=site.act(job, "cancel"),
        ask=f"Cancel {words.title(job)}?",
        lost=lost,
        yes="Yes, cancel it",
    )


def stop(job: Job, site: Site, others: int) -> Action:
    """Prepare the button that ends a job which holds something."""
    what = _held(job) or "CPUs and memory"
    gains = f" for the next in line; {words.count(others, 'job waits', 'jobs wait')}" if others else ""
    return Action(
        word="Stop",
        tone="stop",
        url=site.act(job, "stop"),
        ask=f"Stop {words.title(job)}?",
        lost=f"You give back its {what}{gains}. What is not saved is lost.",
        yes="Yes, stop it",
    )


def _keeps(job: Job) -> str:
    what = _held(job)
    return f"It keeps its {what}, and its time runs on." if what else "Its time runs on."


def _held(job: Job) -> str:
    what = words.gpus(job.resources)
    return what.removeprefix("1 ") if job.resources.gpu_count == 1 else what


def _rule(job: Job, rules: Rules, extend: Action | None, now: float, others: int) -> Words:
    if job.state is not State.RUNNING or job.ends is None:
        return ()
    by = _more(job, rules)
    if extend:
        left = rules.max_extension - job.extended
        more = "" if left <= by else f" {words.duration(left - by)} more are possible after that."
        return ("You can extend to ", moment(job.ends + by, now=now), f".{more}", _waits(others))
    if rules.extend_by <= 0:
        return ("This site does not extend jobs.",)
    if job.ends <= now:
        return ("Its time is up: it can no longer be extended.",)
    return (f"Extended by {words.duration(job.extended)}, the most that is possible.",)


def _waits(others: int) -> str:
    return f" {words.count(others, 'job waits', 'jobs wait')} in the queue." if others else " Nobody waits."
