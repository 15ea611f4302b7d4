"""How checks are run and told: each by itself, within its limit, whatever the others do."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from gpuqueue_spawner.cli.doctor import findings, words
from gpuqueue_spawner.cli.doctor.command import CHECKS, main
from gpuqueue_spawner.cli.doctor.deployment import Asked, Deployment
from gpuqueue_spawner.cli.doctor.findings import Check, Finding, NotChecked, Outcome, Place
from gpuqueue_spawner.cli.doctor.running import run

NOWHERE = Deployment(Asked())
EMPTY = __file__.replace("test_running.py", "__init__.py")  #: a file that sets nothing


def check(name: str, answer: Finding | Exception, **more: Any) -> Check:
    def look(_: Deployment) -> Finding:
        if isinstance(answer, Exception):
            raise answer
        return answer

    return Check(name=name, asks="It is so.", look=look, **more)


def outcomes(*checks: Check) -> dict[str, Outcome]:
    return {each.name: finding.outcome for each, finding in run(checks, NOWHERE)}


def test_a_check_that_fails_does_not_stop_the_others() -> None:
    found = outcomes(check("a", ZeroDivisionError("of mine")), check("b", findings.ok("Well.")))

    assert found == {"a": Outcome.PROBLEM, "b": Outcome.OK}


def test_a_check_that_hangs_is_left_behind_at_its_limit() -> None:
    never = threading.Event()
    hangs = Check(name="a", asks="-", look=lambda _: findings.ok(str(never.wait())), limit=0.1)

    found = {each.name: finding for each, finding in run([hangs, check("b", findings.ok("Well."))], NOWHERE)}
    never.set()

    assert (found["a"].outcome, found["a"].seen) == (Outcome.PROBLEM, "No answer within 0.1 s.")
    assert found["b"].outcome is Outcome.OK


def test_what_could_only_repeat_an_earlier_problem_is_left_out() -> None:
    """And what lacks the same thing says the same."""
    checks = [
        check("a", findings.problem("Broken.")),
        check("b", findings.ok("Well."), needs=("a",)),
        check("c", NotChecked("no file was given")),
        check("d", findings.ok("Well."), needs=("c",)),
        check("e", findings.warning("Odd.")),
        check("f", findings.ok("Well."), needs=("e",)),
    ]

    found = {each.name: finding.seen for each, finding in run(checks, NOWHERE)}

    assert found["b"] == "a must be in order first"
    assert found["d"] == "no file was given"
    assert found["f"] == "Well."


def test_checks_of_another_place_are_no_checks_of_this_one() -> None:
    assert outcomes(check("a", findings.ok("-"), place=Place.CLUSTER)) == {}


def test_every_check_has_a_name_of_its_own_and_needs_earlier_ones() -> None:
    seen: list[str] = []
    for each in CHECKS:
        assert each.name not in seen
        assert {*each.needs} <= {*seen}, f"{each.name} needs what comes later or not at all"
        assert len(each.name) < words.SECOND
        assert each.asks.endswith(".")
        seen.append(each.name)


LONG = "This machine has " + "very " * 60 + "long sentences."


def test_problems_come_last_with_what_to_do_and_every_line_fits() -> None:
    found = [
        (check("b.bad", findings.ok("-")), findings.problem(LONG, "Do this.", "Then that: " + "again " * 40)),
        (check("a.fine", findings.ok("-")), findings.ok("Well.")),
    ]

    told = [*words.lines(found, colour=False)]

    assert max(map(len, told)) <= 100
    assert told[0].split() == ["ok", "a.fine", "Well."]
    assert told[1].startswith("problem      b.bad              This machine")
    assert next(line.strip() for line in told if line.strip().startswith(">")) == "> Do this."
    assert told[-1] == "1 problem, 1 in order."


def test_colour_is_for_terminals() -> None:
    found = [(check("a", findings.ok("-")), findings.problem("Broken."))]

    assert "\x1b" not in "".join(words.lines(found, colour=False))
    assert "\x1b[1;31mproblem" in "".join(words.lines(found, colour=True))


def test_programs_are_told_the_same() -> None:
    found = [
        (check("a", findings.ok("-")), findings.problem("Broken.", "Mend it.")),
        (check("b", findings.ok("-")), findings.ok("Well.")),
    ]

    told = json.loads(words.document(found))

    assert told["problems"] == 1
    assert told["checks"][0] == {"name": "a", "outcome": "problem", "seen": "Broken.", "todo": ["Mend it."]}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "nothing to look at"),
        (["--config", "/nowhere/manager_config.py"], "there is no file /nowhere/manager_config.py"),
        (["--hub-config", "/nowhere/hub.py"], "there is no file /nowhere/hub.py"),
        (["--kubeconfig", "/nowhere/kubeconfig"], "there is no file /nowhere/kubeconfig"),
        (["--config", EMPTY, "--probe", "default"], "name an --image"),
        (["--config", EMPTY, "--probe", "default", "--image", "x"], "these files lead to no cluster"),
        (["--config", EMPTY, "--nfs", "server:/export"], "with --probe"),
        (["--kubeconfig", EMPTY, "--probe", "x", "--image", "x", "--nfs", "/export"], "allowed is SERVER:/EXPORT"),
        (["--lunch"], "unrecognized arguments: --lunch"),
    ],
)
def test_wrong_usage_is_refused_in_words(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2
    assert says in capsys.readouterr().err
