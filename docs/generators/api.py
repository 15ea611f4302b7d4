"""The REST API as a page, from its OpenAPI description.

Knows the part of OpenAPI 3.1 that the description uses. Its examples are run by tests of their own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from .tables import code, table

FILE = Path(__file__).parents[2] / "gpuqueue_spawner" / "service" / "openapi.yaml"
METHODS = ("get", "post", "put", "patch", "delete")

Node = Mapping[str, Any]


def api() -> str:
    """Every operation, by tag, then the records that they speak of."""
    return Description(read()).page()


def read(file: Path = FILE) -> dict[str, Any]:
    """The description."""
    document: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return document


class Description:
    """One OpenAPI document, printed as MyST."""

    def __init__(self, document: Node) -> None:
        self.document = document

    def page(self) -> str:
        """Introduction, operations, records."""
        info = self.document["info"]
        return "\n".join(
            [f"{info.get('description', '').strip()}\n", *self._operations(), *self._shared_answers(), *self._records()]
        )

    # ---- operations ----------------------------------------------------------------------------------------------

    def _operations(self) -> Iterator[str]:
        tags: dict[str, list[tuple[str, str, Node, Node]]] = {tag["name"]: [] for tag in self.document.get("tags", [])}
        for path, item in self.document["paths"].items():
            for method in METHODS:
                if method in item:
                    tag = (item[method].get("tags") or ["Operations"])[0]
                    tags.setdefault(tag, []).append((method, path, item, item[method]))
        words = {tag["name"]: tag.get("description", "") for tag in self.document.get("tags", [])}
        for tag, operations in tags.items():
            if not operations:
                continue
            operations.sort(key=lambda each: each[1] == "/openapi.yaml")  # about itself: last
            yield f"## {tag[:1].upper()}{tag[1:]}\n\n{words.get(tag, '')}\n"
            for operation in operations:
                yield from self._operation(*operation)

    def _operation(self, method: str, path: str, item: Node, operation: Node) -> Iterator[str]:
        yield f"(api-{operation.get('operationId', _slug(method + path)).lower()})=\n### `{method.upper()} {path}`\n"
        yield f"{operation.get('summary', '').rstrip('.')}.\n"
        if operation.get("description"):
            yield f"{operation['description'].strip()}\n"
        yield from self._parameters([*item.get("parameters", []), *operation.get("parameters", [])])
        yield from self._body(operation)
        yield from self._answers(operation)

    def _parameters(self, parameters: Sequence[Node]) -> Iterator[str]:
        if not parameters:
            return
        rows = []
        for parameter in map(self.resolved, parameters):
            needed = ", required" if parameter.get("required") and parameter["in"] != "path" else ""
            schema = parameter.get("schema", {})
            words = " ".join(filter(None, [parameter.get("description", ""), self._limits(schema)]))
            rows.append((code(parameter["name"]), parameter["in"] + needed, self.kind(schema), words))
        yield table(("Parameter", "In", "Type", "Meaning"), rows)

    def _body(self, operation: Node) -> Iterator[str]:
        body = self.resolved(operation.get("requestBody", {}))
        for content in body.get("content", {}).values():
            schema = content.get("schema", {})
            yield f"**Body**{'' if body.get('required') else ', may be left out'}: {self.kind(schema)}\n"
            if "$ref" not in schema:  # a record has a section of its own
                yield from self._properties(schema)
            yield from self._examples(content)

    def _answers(self, operation: Node) -> Iterator[str]:
        rows, examples = [], []
        for status, found in operation.get("responses", {}).items():
            answer = self.resolved(found)
            kinds = [self.kind(content.get("schema", {})) for content in answer.get("content", {}).values()]
            rows.append((code(status), answer.get("description", "").strip(), ", ".join(filter(None, kinds))))
            if "$ref" not in found:  # one that many share stands with the records, once
                examples += [text for content in answer.get("content", {}).values() for text in self._examples(content)]
        yield table(("Answer", "When", "Body"), rows)
        yield from examples

    def _shared_answers(self) -> Iterator[str]:
        answers = self.document.get("components", {}).get("responses", {})
        if answers:
            yield "## Answers of many paths\n"
        for name, answer in answers.items():
            yield f"### {re.sub(r'(?<=[a-z])(?=[A-Z])', ' ', name).capitalize()}\n\n{answer['description'].strip()}\n"
            for content in answer.get("content", {}).values():
                yield from self._examples(content)

    def _examples(self, content: Node) -> Iterator[str]:
        found = {"": {"value": content["example"]}} if "example" in content else content.get("examples", {})
        for name, example in found.items():
            example = self.resolved(example)
            if "value" not in example:
                continue
            words = example.get("summary") or (name.replace("-", " ").replace("_", " ").capitalize() if name else "")
            yield f"{words.rstrip('.') or 'For example'}:\n"
            value = example["value"]
            text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False, default=str)
            kind = "text" if isinstance(value, str) else "json"
            yield f"```{{code-block}} {kind}\n{text.rstrip()}\n```\n"

    # ---- records -------------------------------------------------------------------------------------------------

    def _records(self) -> Iterator[str]:
        schemas = self.document.get("components", {}).get("schemas", {})
        if schemas:
            yield "## Records\n"
        for name, schema in schemas.items():
            yield f"({_anchor(name)})=\n### {name}\n"
            yield f"{schema.get('description', '').strip()}\n"
            if "properties" not in schema and "allOf" not in schema:
                yield f"{self.kind(schema, named=False)} {self._limits(schema)}\n"
            yield from self._properties(schema)
            if "example" in schema or "examples" in schema:
                examples = schema["examples"] if "examples" in schema else [schema["example"]]
                yield from self._examples({"example": examples[0]})

    def _properties(self, schema: Node) -> Iterator[str]:
        parts = [self.resolved(part) for part in schema.get("allOf", [])] + [schema]
        rows = []
        for part in parts:
            needed = set(part.get("required", ()))
            for name, prop in (part.get("properties") or {}).items():
                words = " ".join(filter(None, [self._words(prop), self._limits(prop)]))
                rows.append((code(name) + ("" if name in needed else " (optional)"), self.kind(prop), words))
        if rows:
            yield table(("Field", "Type", "Meaning"), rows)

    def kind(self, schema: Node, *, named: bool = True) -> str:
        """A type in words; a record of its own is a link."""
        if "$ref" in schema and named:
            name = schema["$ref"].rpartition("/")[2]
            return f"[{name}](#{_anchor(name)})" if "/schemas/" in schema["$ref"] else self.kind(self.resolved(schema))
        for word in ("oneOf", "anyOf"):
            if word in schema:
                return " or ".join(self.kind(each) for each in schema[word])
        if "const" in schema:
            return code(json.dumps(schema["const"]))
        if "enum" in schema:
            return "one of " + ", ".join(code(json.dumps(value).strip('"')) for value in schema["enum"])
        kinds = schema.get("type", "")
        return " or ".join(self._plain(kind, schema) for kind in ([kinds] if isinstance(kinds, str) else kinds))

    def _plain(self, kind: str, schema: Node) -> str:
        if kind == "array":
            return f"list of {self.kind(schema.get('items', {})) or 'anything'}"
        if kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
            return f"object: name to {self.kind(schema['additionalProperties'])}"
        if kind == "object" and "properties" in schema:
            return "object: " + ", ".join(
                f"{code(name)} {self.kind(prop)}" for name, prop in schema["properties"].items()
            )
        return {"string": "text", "null": "`null`", "": ""}.get(kind, kind)

    def _words(self, schema: Node) -> str:
        words = str(schema.get("description", ""))
        if words or "$ref" not in schema:
            return words
        return str(self.resolved(schema).get("description", "")).split("\n\n")[0]

    def _limits(self, schema: Node) -> str:
        names = {"minimum": "at least", "maximum": "at most", "exclusiveMinimum": "above", "exclusiveMaximum": "below"}
        said = [f"{words} {schema[name]:,}" for name, words in names.items() if name in schema]
        said += [f"at most {schema['maxLength']} characters"] if "maxLength" in schema else []
        said += [f"default {code(json.dumps(schema['default']))}"] if "default" in schema else []
        words = ", ".join(said)
        return f"{words[:1].upper()}{words[1:]}." if words else ""

    def resolved(self, node: Node) -> Node:
        """What a `$ref` leads to; the node itself without one."""
        while "$ref" in node:
            found: Any = self.document
            for part in node["$ref"].removeprefix("#/").split("/"):
                found = found[part.replace("~1", "/").replace("~0", "~")]
            node = found
        return node


def _anchor(name: str) -> str:
    return f"api-record-{name.lower()}"


def _slug(text: str) -> str:
    return re.sub(r"\W+", "-", text).strip("-")
