# SPDX-License-Identifier: Apache-2.0
"""Whether a document is a record: the published JSON Schemas, and what they cannot say."""

from __future__ import annotations

import functools
import json
import textwrap
from collections.abc import Iterator
from importlib import resources
from itertools import chain
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator, ValidationError

Document = dict[str, Any]

FORMAT = "hostroute-record"
COLLECTION = "hostroute-records"
VERSION = 2
#: How the file of a record ends that breaks the schema, and is kept all the same.
INVALID = ".invalid.json"
_SCHEMAS = {FORMAT: "record-2.schema.json", COLLECTION: "records-2.schema.json"}


def load(name: str) -> Document:
    """A published schema, by the format it describes."""
    text = (resources.files("harness.results") / _SCHEMAS[name]).read_text(encoding="utf-8")
    return dict(json.loads(text))


def flaw(document: Document) -> str:
    """Where a document breaks the schema of its format, and how; empty: nowhere.

    Args:
        document: With a `format` that is one of ours.
    """
    for error in _validator(document["format"]).iter_errors(document):
        return f"{error.json_path}: {_words(error)}"
    if document["format"] == FORMAT:
        return next(_inconsistencies(document, "$"), "")
    found = (_inconsistencies(r, f"$.records[{n}]") for n, r in enumerate(document["records"]))
    return next(chain.from_iterable(found), "")


@functools.cache
def _validator(name: str) -> Draft202012Validator:
    from jsonschema import Draft202012Validator, validators
    from referencing import Registry, Resource

    stock = Draft202012Validator.VALIDATORS["items"]

    def items(validator: Any, schema: Any, instance: Any, parent: Any) -> Iterator[ValidationError]:
        # A record has millions of samples; one by one they would take a quarter of a minute.
        plain = schema == {"type": "number"} and isinstance(instance, list)
        if not (plain and {float, int} >= set(map(type, instance))):
            yield from stock(validator, schema, instance, parent)

    extend: Any = validators.extend  # has no annotations
    made = extend(Draft202012Validator, {"items": items})
    known = Registry().with_resources(
        (schema["$id"], Resource.from_contents(schema)) for schema in map(load, _SCHEMAS)
    )
    return made(load(name), registry=known)  # type: ignore[no-any-return]


_TYPES = {dict: "an object", list: "an array", str: "a text", bool: "a boolean",
          int: "a number", float: "a number", type(None): "null"}  # fmt: skip


def _words(error: ValidationError) -> str:
    """What is wrong, short: the library's words quote the instance, which may be megabytes."""
    wanted: Any = error.validator_value
    if error.validator == "type":
        either = " or ".join([wanted] if isinstance(wanted, str) else wanted)
        return f"is {_TYPES[type(error.instance)]}, not {either}"
    return textwrap.shorten(error.message, 160, placeholder=" …")


def _inconsistencies(record: Document, root: str) -> Iterator[str]:
    """What the parts of a record say of each other that is not so."""
    for number, comparison in enumerate(record["comparisons"]):
        where, arms = f"{root}.comparisons[{number}]", comparison["arms"]
        pairs = [(entry["arm"], entry["against"]) for entry in comparison["verdicts"]]
        named = [*chain.from_iterable(pairs)]
        if not comparison["partial"]:
            named.append(comparison["baseline"])
        absent = [label for label in named if label not in arms]
        yield from (f"{where}: names an arm {label!r} that it does not have" for label in absent)
        for label, arm in arms.items():
            if list(map(len, arm["values"])) != list(map(len, arm["samples"])):
                yield f"{where}.arms.{label}: values are not one for each round of its samples"
        for pair in pairs if not (comparison["partial"] or absent) else []:
            if len({tuple(map(len, arms[label]["values"])) for label in pair}) > 1:
                yield f"{where}: {' and '.join(pair)} differ in their numbers of builds or rounds"
