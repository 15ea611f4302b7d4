"""The API's description as tests read it: operations, responses, their examples, and schemas to check answers with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

import gpuqueue_spawner.service

FILE = Path(gpuqueue_spawner.service.__file__).with_name("openapi.yaml")
DESCRIPTION: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One method of one path."""

    path: str
    method: str
    described: Mapping[str, Any]
    parameters: tuple[Mapping[str, Any], ...]

    @property
    def id(self) -> str:
        """Its name in the description."""
        return str(self.described["operationId"])

    @property
    def body(self) -> Any:
        """The first example of a body; None: it takes none."""
        request = resolved(self.described.get("requestBody", {}))
        examples = request.get("content", {}).get("application/json", {}).get("examples", {})
        return next((example["value"] for example in examples.values()), None)

    def values(self, where: str) -> dict[str, str]:
        """The example of each parameter of a place, `path` or `query`."""
        return {each["name"]: each["example"] for each in self.parameters if each["in"] == where}


@dataclass(frozen=True, kw_only=True)
class Example:
    """An example of an answer, and how it is brought about."""

    operation: Operation
    status: int
    media: str
    schema: Mapping[str, Any]
    headers: tuple[str, ...]
    name: str
    value: Any
    tried: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.operation.id}-{self.status}-{self.name}"


def resolved(it: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a reference points to."""
    found: Any = it
    while "$ref" in found:
        steps = found["$ref"].removeprefix("#/").split("/")
        found = DESCRIPTION
        for step in steps:
            found = found[step.replace("~1", "/")]
    return dict(found)


def operations() -> Iterator[Operation]:
    """Every operation, in the order of the file."""
    for path, item in DESCRIPTION["paths"].items():
        for method in METHODS:
            if method in item:
                parameters = [*item.get("parameters", ()), *item[method].get("parameters", ())]
                yield Operation(
                    path=path, method=method, described=item[method], parameters=tuple(map(resolved, parameters))
                )


def examples() -> Iterator[Example]:
    """Every example of an answer."""
    for operation in operations():
        for status, response in operation.described["responses"].items():
            found = resolved(response)
            for media, content in found["content"].items():
                for name, example in content["examples"].items():
                    yield Example(
                        operation=operation,
                        status=int(status),
                        media=media,
                        schema=content["schema"],
                        headers=tuple(found.get("headers", ())),
                        name=name,
                        value=example["value"],
                        tried=example["x-tried"],
                    )


def check(value: Any, schema: Mapping[str, Any]) -> None:
    """Compare a value with a schema of the description."""
    Draft202012Validator({**schema, "components": DESCRIPTION["components"]}).validate(value)
