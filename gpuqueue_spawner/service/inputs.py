"""What callers may send, checked field by field before anything else sees it.

Knows shapes and limits of JSON bodies. Whether the queue takes what is well-formed: manager/.
"""

from __future__ import annotations

import json
import unicodedata
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from ..model import NewJob, Resources
from .errors import BadInput

NAME_MAX = 255
NOTE_MAX = 1000
OPTIONS_MAX = 16 * 1024  # bytes of JSON; a form sends under 1 KiB
SECONDS_MAX = 366 * 86400.0


def printable(text: str) -> str:
    """Refuse control characters, which hide text in logs and terminals."""
    if any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in text):
        raise ValueError("text without control characters")
    return text


def small(options: dict[str, Any]) -> dict[str, Any]:
    """Refuse options that no form would send."""
    if len(json.dumps(options)) > OPTIONS_MAX:
        raise ValueError(f"at most {OPTIONS_MAX // 1024} KiB of options")
    return options


Printable = Annotated[str, AfterValidator(printable)]
Name = Annotated[Printable, Field(max_length=NAME_MAX)]
Note = Annotated[Printable, Field(max_length=NOTE_MAX)]
Instance = Annotated[str, Field(min_length=8, max_length=100)]
Launch = Annotated[int, Field(ge=1, le=2**31)]


class Input(BaseModel):
    """Takes the fields that it knows, in the types that JSON has; nothing is converted."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class AmountInput(Input):
    """CPUs, memory and GPUs."""

    cpus: Annotated[int | float, Field(ge=0, le=1e6)] = 0.0
    memory: Annotated[int, Field(ge=0, le=2**62)] = 0
    gpus: dict[Name, Annotated[int, Field(ge=0, le=10**6)]] = {}

    def resources(self) -> Resources:
        """As the core speaks of it."""
        return Resources(cpus=self.cpus, memory=self.memory, gpus=self.gpus)


class JobInput(Input):
    """A spawner's request for a job."""

    instance: Instance
    request: Annotated[str, Field(min_length=8, max_length=100)]
    user: Annotated[Name, Field(min_length=1)]
    server: Name = ""
    name: Name = ""
    profile: Name = ""
    resources: AmountInput
    lease: Annotated[int | float, Field(gt=0, le=SECONDS_MAX)]
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
            lease=float(self.lease),
            options=self.options,
            uid=self.uid,
        )


class LaunchInput(Input):
    """A spawner asks for the permit of a launch."""

    instance: Instance
    version: Annotated[int, Field(ge=0)] | None = None


class ClaimInput(Input):
    """A launched process names itself."""

    ticket: Annotated[str, Field(min_length=1, max_length=300)]
    pid: Annotated[int, Field(ge=1, lt=2**31)]
    started: Annotated[int, Field(ge=0)]


class ReadyInput(Input):
    """The notebook answers."""

    launch: Launch


class FailedInput(Input):
    """A launch failed."""

    launch: Launch
    message: Annotated[str, Field(max_length=2000)] = ""


class StopInput(Input):
    """The Hub stops a server, or cancels its start."""

    instance: Instance


class ChoiceInput(Input):
    """One choice of the spawn form."""

    key: Name
    resources: AmountInput
    lease: Annotated[int | float, Field(gt=0, le=SECONDS_MAX)]


class FormInput(Input):
    """The choices whose waits a spawn form shows."""

    user: Annotated[Name, Field(min_length=1)]
    server: Name = ""
    choices: Annotated[list[ChoiceInput], Field(max_length=100)] = []


class EstimateInput(Input):
    """A request somebody thinks of making."""

    resources: AmountInput
    lease: Annotated[int | float, Field(gt=0, le=SECONDS_MAX)] = 3600.0


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
        where = ".".join(str(part) for part in first["loc"]) or "body"
        value = "nothing" if first["type"] == "missing" else first["input"]
        raise BadInput(where, value, _allowed(first["msg"])) from None


def _allowed(words: str) -> str:
    """Pydantic says what an input should be; the sentence here goes "allowed is ..."."""
    for before in ("Value error, ", "Input should be ", "Input "):
        words = words.removeprefix(before)
    return words[:1].lower() + words[1:]
