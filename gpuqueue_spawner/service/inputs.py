"""What callers may send, checked field by field before anything else sees it.

Knows shapes and limits of JSON bodies. Whether the queue takes what is well-formed: manager/.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from typing import Annotated, Any, Literal, NoReturn, Self, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from ..model import Cause, Constraints, Fate, NewJob, Resources
from ..scheduling import Choice
from .errors import BadInput

NAME_MAX = 255
NOTE_MAX = 1000
OPTIONS_MAX = 16 * 1024  # bytes of JSON; a form sends under 1 KiB
SECONDS_MAX = 366 * 86400.0
DEMANDS_MAX = 100  # labels, values, terms or tolerations; a profile has a few of each
DEEP_MAX = 20  # objects and lists within each other; the deepest honest body has 5
FAILURE_MAX = 2000
TURNS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # they turn round what stands behind them


def parse(body: bytes) -> dict[str, Any]:
    """Read one JSON object as strictly as JSON is defined: what two readers could read differently is refused.

    :raises BadInput: it is something else, holds a name twice or a number that is none, or is nested too deep.
    """
    try:
        document = json.loads(
            body.decode("utf-8"), parse_constant=_no_number, parse_float=_finite, object_pairs_hook=_each_once
        )
    except (ValueError, RecursionError) as error:
        words = str(error) if isinstance(error, _Unread) else "one JSON object in UTF-8"
        raise BadInput("body", _start(body), words, code="gpuqueue.json") from None
    if not isinstance(document, dict):
        raise BadInput("body", document, "one JSON object", code="gpuqueue.json")
    if _depth(document) > DEEP_MAX:
        raise BadInput("body", _start(body), f"at most {DEEP_MAX} levels of nesting", code="gpuqueue.json")
    return document


class _Unread(ValueError):
    """JSON that Python would take; the message says what is allowed instead."""


def _no_number(text: str) -> NoReturn:
    raise _Unread(f"JSON, which has no {text}")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _Unread("JSON with numbers that a computer can hold")
    return number


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) < len(pairs):
        raise _Unread("JSON that has each name of an object once")
    return dict(pairs)


def _depth(document: object) -> int:
    """Levels of nesting; counted level by level, since a deep document must not end the counting."""
    levels, level = 0, [document]
    while (outers := [each for each in level if isinstance(each, dict | list)]) and levels <= DEEP_MAX:
        level = [inner for outer in outers for inner in (outer.values() if isinstance(outer, dict) else outer)]
        levels += 1
    return levels


def _start(body: bytes) -> str:
    return body[:60].decode("utf-8", "replace")


def printable(text: str) -> str:
    """Refuse control characters, which hide text in logs and terminals, and those that turn text round."""
    if any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") or char in TURNS for char in text):
        raise ValueError("text without control characters")
    return text


def small(options: dict[str, Any]) -> dict[str, Any]:
    """Refuse options that no form would send, and what JSON has no words for."""
    if len(json.dumps(options, allow_nan=False)) > OPTIONS_MAX:
        raise ValueError(f"at most {OPTIONS_MAX // 1024} KiB of options")
    return options


def legible(message: object) -> object:
    """Make a failure's words fit: rather shortened than not reported."""
    return message.encode("utf-8", "replace").decode("utf-8")[:FAILURE_MAX] if isinstance(message, str) else message


Printable = Annotated[str, AfterValidator(printable)]
Name = Annotated[Printable, Field(max_length=NAME_MAX)]
Label = Annotated[Name, Field(min_length=1)]
Note = Annotated[Printable, Field(max_length=NOTE_MAX)]
Random = Annotated[str, Field(min_length=8, max_length=100, pattern=r"^[!-~]*$")]  # made by a program
Launch = Annotated[int, Field(ge=1, le=2**31 - 1)]
JobKey = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Lease = Annotated[float, Field(gt=0, le=SECONDS_MAX, allow_inf_nan=False)]


class Input(BaseModel):
    """Takes the fields that it knows, in the types that JSON has; nothing is converted."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class AmountInput(Input):
    """CPUs, memory, GPUs, and what else is counted."""

    cpus: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)] = 0.0
    memory: Annotated[int, Field(ge=0, le=2**62)] = 0
    gpus: dict[Annotated[Name, Field(min_length=1)], Annotated[int, Field(ge=0, le=10**6)]] = {}
    others: dict[Annotated[Name, Field(min_length=1)], Annotated[int, Field(ge=0, le=2**62)]] = {}

    def resources(self) -> Resources:
        """As the core speaks of it."""
        return Resources(cpus=self.cpus, memory=self.memory, gpus=self.gpus, others=self.others)


class ExpressionInput(Input):
    """What a label or field of a node has to be."""

    key: Label
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]
    values: Annotated[list[Name], Field(max_length=DEMANDS_MAX)] = []


Expressions = Annotated[list[ExpressionInput], Field(max_length=DEMANDS_MAX)]


class TermInput(Input):
    """One way in which a node may match."""

    labels: Expressions = []
    fields: Expressions = []


class TolerationInput(Input):
    """A taint that a pod does not mind."""

    key: Name = ""
    operator: Literal["Equal", "Exists"] = "Equal"
    value: Name = ""
    effect: Name = ""


class ConstraintsInput(Input):
    """What a pod demands of its node besides room."""

    selector: Annotated[dict[Label, Name], Field(max_length=DEMANDS_MAX)] = {}
    terms: Annotated[list[TermInput], Field(max_length=DEMANDS_MAX)] = []
    tolerations: Annotated[list[TolerationInput], Field(max_length=DEMANDS_MAX)] = []

    @model_validator(mode="after")
    def _small(self) -> Self:
        if len(self.model_dump_json()) > OPTIONS_MAX:
            raise ValueError(f"at most {OPTIONS_MAX // 1024} KiB of demands")
        return self

    def constraints(self) -> Constraints:
        """As the core speaks of it."""
        return Constraints.of_document(self.model_dump())


class JobInput(Input):
    """A spawner's request for a job."""

    instance: Random
    request: Random
    user: Annotated[Name, Field(min_length=1)]
    server: Name = ""
    name: Name = ""
    profile: Name = ""
    resources: AmountInput
    constraints: ConstraintsInput = ConstraintsInput()
    lease: Lease
    options: Annotated[dict[str, Any], AfterValidator(small)] = {}
    uid: Annotated[int, Field(ge=0, lt=2**32)] | None = None

    def job(self) -> NewJob:
        """As the core speaks of it."""
        return NewJob(
            user=self.user,
            server=self.server,
            request=self.request,
            name=self.name,
            profile=self.profile,
            resources=self.resources.resources(),
            constraints=self.constraints.constraints(),
            lease=self.lease,
            options=self.options,
            uid=self.uid,
        )


class LaunchInput(Input):
    """A spawner asks for the permit of a launch."""

    instance: Random
    version: Annotated[int, Field(ge=0, lt=2**63)] | None = None


class ClaimInput(Input):
    """A launched process names itself."""

    ticket: Annotated[str, Field(min_length=1, max_length=300, pattern=r"^[!-~]*$")]
    pid: Annotated[int, Field(ge=1, lt=2**31)]
    started: Annotated[int, Field(ge=0, lt=2**63)]


class ReadyInput(Input):
    """The notebook answers."""

    launch: Launch


class FailedInput(Input):
    """A launch failed."""

    launch: Launch
    message: Annotated[str, BeforeValidator(legible)] = ""
    taken: bool = False  #: by the cluster: no failure of its own
    away: bool = False  #: the cluster did not answer: no failure of its own either


class FateInput(Input):
    """What became of a pod, as the Hub saw it."""

    cause: Literal["taken", "refused", "deleted", "ended"]
    words: Annotated[str, BeforeValidator(legible)] = ""

    def fate(self, status: int | None) -> Fate:
        """The record."""
        return Fate(cause=Cause(self.cause), words=" ".join(self.words.split())[:500], status=status)


class ExitedInput(Input):
    """A server ended that nobody stopped."""

    launch: Launch
    status: Annotated[int, Field(ge=-255, le=255)] | None  #: below 0 a signal, None: not known
    fate: FateInput | None = None


class StopInput(Input):
    """The Hub stops a server, or cancels its start."""

    instance: Random


class HelloInput(Input):
    """A Hub connects: which process it is, and the jobs that wait in one of its start()."""

    type: Literal["hello"]
    instance: Random
    holds: Annotated[list[JobKey], Field(max_length=100_000)] = []


class HoldsInput(Input):
    """A Hub holds other jobs than before."""

    type: Literal["holds"]
    holds: Annotated[list[JobKey], Field(max_length=100_000)] = []


class BeatInput(Input):
    """A Hub lives."""

    type: Literal["beat"]


class ChoiceInput(Input):
    """One choice of the spawn form."""

    key: Name
    resources: AmountInput
    constraints: ConstraintsInput = ConstraintsInput()
    lease: Lease

    def choice(self) -> Choice:
        """As the core speaks of it."""
        return Choice(
            resources=self.resources.resources(), constraints=self.constraints.constraints(), lease=float(self.lease)
        )


class FormInput(Input):
    """The choices whose waits a spawn form shows."""

    user: Annotated[Name, Field(min_length=1)]
    server: Name = ""
    choices: Annotated[list[ChoiceInput], Field(max_length=100)] = []


class EstimateInput(Input):
    """A request somebody thinks of making."""

    resources: AmountInput
    lease: Lease = 3600.0

    def choice(self) -> Choice:
        """As the core speaks of it. Nothing is known of a pod: any server may do."""
        return Choice(resources=self.resources.resources(), lease=float(self.lease))


class ActInput(Input):
    """What a person says with an act."""

    note: Note = ""


I = TypeVar("I", bound=Input)  # noqa: E741


def read(model: type[I], body: dict[str, Any]) -> I:
    """Check a body.

    :raises BadInput: the first field that is wrong, its value, and what is allowed.
    """
    try:
        return model.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])[:100] or "body"
        value = "nothing" if first["type"] == "missing" else first["input"]
        raise BadInput(where, value, _allowed(first)) from None


_MESSAGES: dict[object, type[HelloInput | HoldsInput | BeatInput]] = {
    "hello": HelloInput,
    "holds": HoldsInput,
    "beat": BeatInput,
}


def read_message(message: str | bytes) -> HelloInput | HoldsInput | BeatInput:
    """Check a message of a Hub's stream.

    :raises BadInput: it is none of those.
    """
    body = parse(message.encode("utf-8", "replace") if isinstance(message, str) else message)
    kind = body.get("type")
    if not isinstance(kind, str) or kind not in _MESSAGES:
        raise BadInput("type", kind, "one of " + ", ".join(map(str, _MESSAGES)))
    return read(_MESSAGES[kind], body)


_ALLOWED = {
    "missing": "a value, for it must be there",
    "extra_forbidden": "no field of this name",
    "model_type": "an object",
    "dict_type": "an object",
    "string_unicode": "text without half surrogates",
    "string_pattern_mismatch": "printable ASCII without spaces",
}
_BEFORE = re.compile(r"(Value error, |Input should be |\w+ should have |Input )")


def _allowed(error: ErrorDetails) -> str:
    """Pydantic says what an input should be; the sentence here goes "allowed is ..."."""
    words = _ALLOWED.get(error["type"]) or _BEFORE.sub("", error["msg"], count=1)
    if error["type"] == "too_long" and isinstance(error["input"], str):  # checked by us first, it says "items"
        words = f"at most {error['ctx']['max_length']} characters"
    return words[:1].lower() + words[1:]
