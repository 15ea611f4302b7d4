"""The diagram of a job's states as SVG: its arrows are the lines of the table of transitions.

Knows where each state stands, so that arrows cross little. Words and tables: states.py.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from html import escape

from gpuqueue_spawner.model import TRANSITIONS, State
from gpuqueue_spawner.model.states import HOLDING

WIDTH, HEIGHT = 940, 470
BOX = (112, 40)  #: width and height of a state
TEXT = 15

#: Middle of each box. A state without one is an error.
AT = {
    State.HELD: (110, 70),
    State.QUEUED: (110, 230),
    State.ADMITTED: (340, 230),
    State.STARTING: (560, 230),
    State.RUNNING: (810, 230),
    State.RESTARTING: (685, 70),
    State.STOPPING: (685, 400),
    State.ENDED: (340, 400),
}
#: Where the label of an arrow stands on its way, 0 at its start; in the middle where it is not said.
LABEL_AT = {
    (State.HELD, State.ENDED): 0.28,
    (State.QUEUED, State.ADMITTED): 0.4,
    (State.ADMITTED, State.ENDED): 0.36,
    (State.STARTING, State.RUNNING): 0.24,
    (State.STOPPING, State.QUEUED): 0.34,
    (State.RESTARTING, State.STOPPING): 0.3,
    (State.RUNNING, State.STOPPING): 0.55,
    (State.STARTING, State.STOPPING): 0.55,
}
#: On which side of its box a state's arrow to itself stands: degrees, 90 is below.
SELF_AT = {State.QUEUED: 180, State.HELD: 180, State.STARTING: 110, State.RUNNING: 0, State.STOPPING: 0}

STYLE = """
.gq-states { max-width: 100%; height: auto; font-family: inherit; }
.gq-states rect { fill: var(--pst-color-surface, #f6f8fa); stroke: var(--pst-color-text-muted, #545c64); }
.gq-states .holds rect { stroke: var(--pst-color-primary, #236292); stroke-width: 2.5; }
.gq-states .over rect { stroke-dasharray: 4 3; }
.gq-states text { fill: var(--pst-color-text-base, #222); font-size: 15px; text-anchor: middle; }
.gq-states .state { font-weight: 600; font-size: 16px; }
.gq-states .event { paint-order: stroke; stroke: var(--pst-color-background, #fff); stroke-width: 8px; }
.gq-states path { fill: none; stroke: var(--pst-color-text-muted, #545c64); stroke-width: 1.4; }
.gq-states marker path { fill: var(--pst-color-text-muted, #545c64); stroke: none; }
"""


@dataclass(frozen=True, kw_only=True)
class Arrow:
    """All events that lead from one state to another."""

    start: State
    end: State
    words: str


def arrows() -> tuple[Arrow, ...]:
    """One for each pair of states that an event leads between."""
    found: dict[tuple[State, State], list[str]] = defaultdict(list)
    for state, lines in TRANSITIONS.items():
        for event, after in lines.items():
            found[state, after].append(str(event))
    return tuple(Arrow(start=start, end=end, words=", ".join(words)) for (start, end), words in found.items())


def svg() -> str:
    """The drawing, without an empty line, so that it may stand in Markdown."""
    drawn = [_loop(arrow) if arrow.start is arrow.end else _line(arrow) for arrow in arrows()]
    parts = [
        f'<svg class="gq-states" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img" '
        'aria-labelledby="gq-states-title">',
        '<title id="gq-states-title">The states of a job and the events that lead from one to the next; '
        "the table below says the same.</title>",
        f"<style>{STYLE.strip()}</style>",
        '<defs><marker id="gq-tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
        'orient="auto-start-reverse"><path d="M0 0 10 5 0 10z"/></marker></defs>',
        *(path for path, _ in drawn),
        *(label for _, label in drawn),  # after all lines, so that none runs through a word
        *(_box(state) for state in State),
        "</svg>",
    ]
    return "\n".join(parts)


def _box(state: State) -> str:
    x, y = AT[state]
    kind = "holds" if state in HOLDING else "over" if state is State.ENDED else "waits"
    width, height = BOX
    left, top = x - width / 2, y - height / 2
    return (
        f'<g class="{kind}"><rect x="{left:g}" y="{top:g}" width="{width}" height="{height}" rx="8"/>'
        f'<text class="state" x="{x}" y="{y + 5}">{escape(str(state))}</text></g>'
    )


def _line(arrow: Arrow) -> tuple[str, str]:
    (x1, y1), (x2, y2) = AT[arrow.start], AT[arrow.end]
    length = math.hypot(x2 - x1, y2 - y1)
    both_ways = any(each.start is arrow.end and each.end is arrow.start for each in arrows())
    aside = (26 if abs(x2 - x1) < 1 else 13) if both_ways else 0  # each keeps to its right, with room for the labels
    dx, dy = -(y2 - y1) / length * aside, (x2 - x1) / length * aside
    start = _edge(x1 + dx, y1 + dy, x2 + dx, y2 + dy, centre=(x1, y1))
    end = _edge(x2 + dx, y2 + dy, x1 + dx, y1 + dy, centre=(x2, y2))
    share = LABEL_AT.get((arrow.start, arrow.end), 0.5)
    at = (start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share)
    flat = abs(y2 - y1) < 1
    label = (at[0], at[1] + (math.copysign(14, dx or dy or -1) if flat else 4) + (4 if flat else 0))
    path = f"M{start[0]:.0f} {start[1]:.0f} {end[0]:.0f} {end[1]:.0f}"
    return _drawn(path, label, arrow.words)


def _edge(x: float, y: float, to_x: float, to_y: float, *, centre: tuple[float, float]) -> tuple[float, float]:
    """Where the way from inside a box leaves it, with a little air."""
    length = math.hypot(to_x - x, to_y - y)
    ux, uy = (to_x - x) / length, (to_y - y) / length
    left, top = centre[0] - BOX[0] / 2 - 4, centre[1] - BOX[1] / 2 - 4
    right, bottom = centre[0] + BOX[0] / 2 + 4, centre[1] + BOX[1] / 2 + 4
    ways = []
    if ux:
        ways.append(((right if ux > 0 else left) - x) / ux)
    if uy:
        ways.append(((bottom if uy > 0 else top) - y) / uy)
    step = min(way for way in ways if way > 0)
    return x + ux * step, y + uy * step


def _loop(arrow: Arrow) -> tuple[str, str]:
    x, y = AT[arrow.start]
    angle = math.radians(SELF_AT[arrow.start])
    ux, uy = math.cos(angle), math.sin(angle)
    reach_x, reach_y = BOX[0] / 2 + 3, BOX[1] / 2 + 3
    sideways = abs(ux) > 0.7
    foot = (x + math.copysign(reach_x, ux), y) if sideways else (x + ux * reach_x, y + math.copysign(reach_y, uy))
    gap, out = 9, 34
    if sideways:
        tip = foot[0] + math.copysign(out, ux)
        path = f"M{foot[0]:.0f} {y - gap} C{tip:.0f} {y - 26} {tip:.0f} {y + 26} {foot[0]:.0f} {y + gap}"
        label = (foot[0] + math.copysign(4, ux), y + 36)
    else:
        tip = foot[1] + math.copysign(out, uy)
        left, right = foot[0] - gap, foot[0] + gap
        bend = f"{foot[0] - 26:.0f} {tip:.0f} {foot[0] + 26:.0f} {tip:.0f}"
        path = f"M{left:.0f} {foot[1]:.0f} C{bend} {right:.0f} {foot[1]:.0f}"
        label = (foot[0], foot[1] + math.copysign(40, uy))
    return _drawn(path, label, arrow.words)


def _drawn(path: str, label: tuple[float, float], words: str) -> tuple[str, str]:
    return (
        f'<path d="{path}" marker-end="url(#gq-tip)"/>',
        f'<text class="event" x="{label[0]:.0f}" y="{label[1]:.0f}">{escape(words)}</text>',
    )
