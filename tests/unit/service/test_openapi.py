"""The API's description says what is there, all of it and nothing else."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from tornado.web import RequestHandler

from gpuqueue_spawner.model import Event, ReasonCode, State
from gpuqueue_spawner.service import errors, routes
from gpuqueue_spawner.service.acts import ACTS
from tests.services.description import DESCRIPTION, METHODS, Example, check, examples, operations, resolved

SERVICE = Path(routes.__file__).parent
SCHEMAS = DESCRIPTION["components"]["schemas"]


def test_it_is_valid_openapi() -> None:
    OpenAPIV31SpecValidator(DESCRIPTION).validate()


def test_every_route_is_described_and_every_description_has_a_route() -> None:
    """Paths with their methods; what stands in braces is any text without a slash."""
    described = {
        (re.sub(r"\{\w+\}", "([^/]+)", operation.path), operation.method.upper()) for operation in operations()
    }

    assert described == {(path, method) for path, handler in _routes() for method in _methods(handler)}


@pytest.mark.parametrize("example", list(examples()), ids=str)
def test_an_example_follows_its_schema(example: Example) -> None:
    if example.media == "application/json":
        check(example.value, example.schema)


def test_examples_of_bodies_follow_their_schema_and_parameters_have_an_example() -> None:
    for operation in operations():
        request = resolved(operation.described.get("requestBody", {}))
        for content in request.get("content", {}).values():
            for example in content["examples"].values():
                check(example["value"], content["schema"])
        for parameter in operation.parameters:
            check(parameter["example"], parameter["schema"])


def test_every_answer_has_an_example() -> None:
    shown = {(example.operation.id, example.status) for example in examples()}

    assert shown == {
        (operation.id, int(status)) for operation in operations() for status in operation.described["responses"]
    }


def test_every_code_is_listed() -> None:
    """What the service itself says, and what the manager may say to an act of a user."""
    files = [path for path in SERVICE.rglob("*.py") if "spawner_api" not in path.parts and "views" not in path.parts]
    said = {code for path in files for code in _codes(path)}
    of_acts = {"gpuqueue.job.state", "gpuqueue.job.extension-limit"}

    assert set(SCHEMAS["Code"]["enum"]) == said | of_acts


def test_every_listed_code_is_explained() -> None:
    assert set(re.findall(r"`(gpuqueue\.[a-z.-]+)`", SCHEMAS["Code"]["description"])) == set(SCHEMAS["Code"]["enum"])


def test_states_events_reasons_and_acts_are_those_of_the_core() -> None:
    assert SCHEMAS["State"]["enum"] == [str(state) for state in State]
    assert SCHEMAS["Event"]["properties"]["event"]["enum"] == [str(event) for event in Event]
    assert SCHEMAS["ReasonCode"]["enum"] == [str(code) for code in ReasonCode]
    assert SCHEMAS["Possible"]["items"]["enum"] == list(ACTS)


def test_a_fault_that_nobody_expected_tells_nothing() -> None:
    """A key that is missing somewhere inside is a bug, not "no such job"."""
    assert errors.fault_of(KeyError("token")).json() == errors.fault_of(ValueError("secret")).json()
    assert errors.fault_of(KeyError("token")).code == "gpuqueue.bug"
    assert errors.fault_of(KeyError(7)).code == "gpuqueue.not-found"


def _routes() -> list[tuple[str, type[RequestHandler]]]:
    application = routes.application(prefix="/p/", settings={})
    found = []
    for outer in application.default_router.rules:
        for rule in outer.target.rules:
            pattern = rule.matcher.regex.pattern.removesuffix("$")
            if pattern.startswith("/p/" + routes.API) and rule.target is not routes.Nowhere:
                found.append((pattern.removeprefix("/p/" + routes.API.rstrip("/")), rule.target))
    return found


def _methods(handler: type[RequestHandler]) -> list[str]:
    return [name.upper() for name in METHODS if getattr(handler, name) is not getattr(RequestHandler, name)]


def _codes(path: Path) -> set[str]:
    texts = [node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)]
    return {text for text in texts if isinstance(text, str) and re.fullmatch(r"gpuqueue\.[a-z]+[a-z.-]*[a-z]", text)}
