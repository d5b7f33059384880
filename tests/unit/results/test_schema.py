# SPDX-License-Identifier: Apache-2.0
"""The published schemas and the types that the harness reads and writes by say the same."""

import json

import msgspec
import pytest

from harness import results
from harness.results.run import Collection, Run
from harness.results.schema import load
from tests.support import records

_SAYING_NOTHING = ("description", "title", "default", "$id", "$schema", "format", "$defs")


def plain(schema, root):
    """A schema without references, prose and ways of writing the same."""
    if "$ref" in schema:
        return plain(*followed(schema, root))
    found = {key: value for key, value in schema.items() if key not in _SAYING_NOTHING}
    if "anyOf" in found:
        parts = [plain(part, root) for part in found.pop("anyOf")]
        return united([*parts, *([plain(found, root)] if found else [])])
    for key in ("items", "additionalProperties", "propertyNames"):
        if isinstance(found.get(key), dict):
            found[key] = plain(found[key], root)
    if "properties" in found:
        found["properties"] = {name: plain(p, root) for name, p in found["properties"].items()}
    return with_lists(found)


def with_lists(found):
    """The same with a list, sorted, wherever there may be one."""
    if "const" in found or "enum" in found:
        return {"enum": sorted(found.get("enum", [found.get("const")]), key=repr)}
    for key in found.keys() & {"required", "type"}:
        found[key] = sorted([found[key]] if isinstance(found[key], str) else found[key])
    if found.get("additionalProperties") == {}:
        del found["additionalProperties"]
    return found


def followed(schema, root):
    """What a reference stands for, and the document that it is in."""
    place, _, path = schema["$ref"].partition("#")
    root = target = load(results.FORMAT) if place else root
    for key in filter(None, path.split("/")):
        target = target[key]
    return {**target, **{key: value for key, value in schema.items() if key != "$ref"}}, root


def united(parts):
    """Alternatives that tell themselves apart by their type, as one."""
    whole, types = {}, []
    for part in parts:
        if "enum" in part:
            whole["enum"] = sorted([*whole.get("enum", []), *part["enum"]], key=repr)
        types += part.get("type", [])
        whole |= {key: value for key, value in part.items() if key not in ("enum", "type")}
    if "enum" in whole:
        whole["enum"] = sorted([*whole["enum"], *([None] if "null" in types else [])], key=repr)
        return whole
    types = [kind for kind in types if not (kind == "integer" and "number" in types)]
    return {**whole, "type": sorted(set(types))}


KINDS = {results.FORMAT: Run, results.COLLECTION: Collection}


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_the_published_schema_is_what_the_types_say(name, kind):
    (generated,), components = msgspec.json.schema_components(
        [kind], ref_template="#/$defs/{name}", schema_hook=lambda _: {"description": "anything"}
    )
    generated = {**generated, "$defs": components}
    assert plain(generated, generated) == plain(load(name), load(name))


def test_what_the_harness_writes_the_published_schema_takes(tmp_path):
    from jsonschema import Draft202012Validator  # of an extra: see test_extras.py
    from referencing import Registry, Resource

    schemas = [load(name) for name in (results.FORMAT, results.COLLECTION)]
    known = Registry().with_resources((s["$id"], Resource.from_contents(s)) for s in schemas)
    run = records.run(exact=records.exact(), others=[
        {"test": "a", "outcome": "not claimed", "reason": "x", "reruns": 1}
    ])  # fmt: skip
    path = results.write(tmp_path, run)
    results.merge([run], tmp_path / "all.json")
    for schema, file in zip(schemas, (path, tmp_path / "all.json"), strict=True):
        Draft202012Validator(schema, registry=known).validate(json.loads(file.read_text()))
