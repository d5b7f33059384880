# SPDX-License-Identifier: Apache-2.0
"""What is said to an agent and what it may answer: the types and the published schema agree."""

import json
import re
from pathlib import Path

import pytest

from harness.datapath import NodeSettings, Service
from harness.datapath.brought import protocol
from harness.datapath.brought.protocol import Added, AnswerError, Done, Refusal, Status, Version
from harness.datapath.services import Backend

KINDS = {"VERSION": Version, "ADD": Added, "SYNC": Added, "STATUS": Status, "DEL": Done}
RIGHT = [
    ("VERSION", {"ok": True, "protocol": 1}),
    ("VERSION", {"ok": True, "protocol": 2, "name": "x", "version": "1", "claims": {"counts": 1}}),
    ("ADD", {"ok": True}),
    ("ADD", {"ok": True, "claims": {}, "programs": [{"name": "x", "tag": "0123456789abcdef"}]}),
    ("SYNC", {"ok": True, "programs": [{"name": "x", "tag": ""}, {"name": "y"}]}),
    ("STATUS", {"ok": True}),
    ("STATUS", {"ok": True, "text": "two\nlines"}),
    ("DEL", {"ok": True}),
    *((verb, {"ok": False, "msg": "why"}) for verb in KINDS),
    ("ADD", {"ok": False, "code": 7, "msg": "why"}),
    ("ADD", {"ok": False, "code": "EPERM", "msg": "why"}),
]
WRONG = [
    ("VERSION", {"ok": True}),
    ("VERSION", {"ok": True, "protocol": "1"}),
    ("VERSION", {"ok": 1, "protocol": 1}),
    ("VERSION", {"ok": True, "protocol": 1, "claims": []}),
    ("VERSION", {"ok": True, "protocol": 1, "msg": "x"}),
    ("ADD", {}),
    ("ADD", {"ok": None}),
    ("ADD", {"ok": True, "claim": {}}),
    ("ADD", {"ok": True, "programs": {"name": "x"}}),
    ("ADD", {"ok": True, "programs": [{"tag": "0123456789abcdef"}]}),
    ("ADD", {"ok": True, "programs": [{"name": "x", "tag": "no tag"}]}),
    ("ADD", {"ok": False}),
    ("ADD", {"ok": False, "msg": 1}),
    ("ADD", {"ok": False, "msg": "why", "code": [1]}),
    ("ADD", {"ok": False, "msg": "x" * 1001}),
    ("STATUS", {"ok": True, "text": ["x"]}),
    ("STATUS", {"ok": True, "text": "x" * 65537}),
    ("DEL", {"ok": True, "text": ""}),
    ("DEL", []),
    ("DEL", "ok"),
    ("DEL", True),
    ("DEL", None),
]


PAGE = Path(protocol.__file__).parents[3] / "docs" / "your-datapath.md"


def judges(verb):
    jsonschema = pytest.importorskip("jsonschema")  # the harness itself does without
    schema = protocol.schema()
    return jsonschema.Draft202012Validator({"$ref": f"#/$defs/{verb}", "$defs": schema["$defs"]})


def test_the_published_schema_is_one():
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator.check_schema(protocol.schema())
    assert set(protocol.DEADLINES) == set(KINDS)


@pytest.mark.parametrize(("verb", "said"), RIGHT)
def test_a_right_answer_is_taken(verb, said):
    found = protocol.answer(json.dumps(said).encode(), KINDS[verb])
    assert isinstance(found, KINDS[verb] if said["ok"] else Refusal)
    assert list(judges(verb).iter_errors(said)) == []


@pytest.mark.parametrize(("verb", "said"), WRONG)
def test_a_wrong_answer_is_refused(verb, said):
    with pytest.raises(AnswerError):
        protocol.answer(json.dumps(said).encode(), KINDS[verb])
    assert list(judges(verb).iter_errors(said))


@pytest.mark.parametrize("line", [b"", b"ready", b"{", b"\xff", b'{"ok": true} {}', b"[" * 100_000])
def test_what_is_no_json_is_refused(line):
    with pytest.raises(AnswerError):
        protocol.answer(line, Done)


@pytest.mark.parametrize("verb", ["VERSION", "STATUS", "DEL"])
def test_a_request_without_nodes_is_what_the_schema_says(verb):
    line = protocol.request(verb)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert list(judges("REQUEST").iter_errors(json.loads(line))) == []
    assert list(judges("REQUEST").iter_errors({**json.loads(line), "more": 1}))


def test_services_are_said_as_the_schema_has_them():
    asked = Service("172.16.200.1", 80, "udp", (Backend("10.0.1.11", 8080),), 30_080)
    settings = NodeSettings(services="bpf", used_services=(asked,))
    said = json.loads(json.dumps(protocol.settings_facts(settings)))
    assert list(judges("SETTINGS").iter_errors(said)) == []
    assert said["used_services"][0]["backends"] == [{"address": "10.0.1.11", "port": 8080}]
    said["used_services"][0]["port"] = 0
    assert list(judges("SETTINGS").iter_errors(said))


def test_the_node_that_the_page_shows_is_one():
    (block,) = re.findall(r"^```json\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    assert list(judges("NODE").iter_errors(json.loads(block))) == []


def test_the_deadlines_that_the_page_shows_are_the_defaults():
    text = PAGE.read_text(encoding="utf-8").partition("[command.deadlines]")[2].partition("```")[0]
    found = re.findall(r"^(\w+) = (\d+)$", text, re.M)
    assert {name.upper(): float(value) for name, value in found} == protocol.DEADLINES
