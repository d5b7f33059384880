# SPDX-License-Identifier: Apache-2.0
"""What is said to an agent, and what it may answer: agent-1.schema.json, docs/your-datapath.md.

One JSON object a line. The types here are what is sent and accepted; a test holds them against the
published schema.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from importlib import resources
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct

from harness.datapath.brought.description import TestbedNeeds
from harness.datapath.brought.node import uplinks
from harness.datapath.settings import NodeSettings
from harness.topology import Family, Host, Node
from harness.topology.hosts import POD_IF

#: The version of what is said.
PROTOCOL = 1
#: Verb → seconds in which it has to be answered, where the description names no others.
DEADLINES = {"VERSION": 20.0, "ADD": 60.0, "SYNC": 30.0, "STATUS": 10.0, "DEL": 30.0}
_MAIN, _UNICAST = 254, 1  # RT_TABLE_MAIN, RTN_UNICAST, uapi/linux/rtnetlink.h
_WORDS = {6: "blackhole", 7: "unreachable", 8: "prohibit"}  # RTN_*
_LOOPBACK = 8  # IFF_LOOPBACK, uapi/linux/if.h

_Text = Annotated[str, Meta(max_length=1000)]


class Program(Struct, forbid_unknown_fields=True):
    """A program that an agent loaded.

    Attributes:
        name: As it calls it.
        tag: The kernel's; empty: it does not say.
    """

    name: _Text
    tag: Annotated[str, Meta(pattern="^([0-9a-f]{16})?$")] = ""


class Version(Struct, forbid_unknown_fields=True):
    """Answer to VERSION.

    Attributes:
        protocol: The version of the protocol that it speaks.
        name: What it calls itself.
        version: Its own version.
        claims: What it claims: completes `[datapath.claims]`, and must not contradict it.
    """

    ok: bool
    protocol: int
    name: _Text = ""
    version: _Text = ""
    claims: dict[str, Any] = {}


class Added(Struct, forbid_unknown_fields=True):
    """Answer to ADD and to SYNC.

    Attributes:
        claims: What it claims: nothing else than before.
        programs: What it loaded, for reports.
    """

    ok: bool
    claims: dict[str, Any] = {}
    programs: list[Program] = []


class Status(Struct, forbid_unknown_fields=True):
    """Answer to STATUS.

    Attributes:
        text: What it has to say of itself, in lines; goes into the report of a failed test.
    """

    ok: bool
    text: Annotated[str, Meta(max_length=1 << 16)] = ""


class Done(Struct, forbid_unknown_fields=True):
    """Answer to DEL."""

    ok: bool


class Refusal(Struct, forbid_unknown_fields=True):
    """Answer to any verb, with ok: false.

    Attributes:
        code: Its own, for whoever reads its documentation.
        msg: What is wrong, and what to do about it.
    """

    ok: bool
    msg: _Text
    code: int | Annotated[str, Meta(max_length=100)] = ""


class AnswerError(Exception):
    """An answer is no JSON, or not what may be answered; the text says why."""


_Answer = TypeVar("_Answer", Version, Added, Status, Done)


def answer(line: bytes, kind: type[_Answer]) -> _Answer | Refusal:
    """Decode an answer.

    Args:
        line: What was said, without its end.
        kind: What was asked for.

    Raises:
        AnswerError: It is neither that nor a refusal.
    """
    try:
        said = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise AnswerError(f"no JSON ({error})") from None
    wanted: type[Any] = kind
    if isinstance(said, dict) and said.get("ok") is False:
        wanted = Refusal
    try:
        found: _Answer | Refusal = msgspec.convert(said, wanted)
    except msgspec.ValidationError as error:
        raise AnswerError(str(error)) from None
    return found


def request(verb: str, **fields: object) -> bytes:
    """A line that asks for something."""
    return json.dumps({"protocol": PROTOCOL, "verb": verb, **fields}).encode() + b"\n"


def schema() -> dict[str, Any]:
    """The published schema of all that is said, on both sides."""
    text = (resources.files(__package__) / "agent-1.schema.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def settings_facts(settings: NodeSettings) -> dict[str, object]:
    """What an operator asked of the nodes."""
    return {key: value for key, value in settings.facts().items() if not key.startswith("legacy_")}


def nodes_facts(nodes: Sequence[Node], needs: TestbedNeeds) -> list[dict[str, Any]]:
    """What an agent is told of nodes, as the kernel has it now."""
    return [_node(node, uplinks(node, needs)) for node in nodes]


def _netns(host: Host) -> str:
    return f"/proc/{os.getpid()}/fd/{host.ns.fileno()}"


def _addresses(host: Host) -> dict[str, str]:
    return {family.name: host.addresses[family] for family in Family}


def _node(node: Node, served: list[str]) -> dict[str, Any]:
    interfaces = _interfaces(node, served)
    indexes = {each["ifindex"]: each["name"] for each in interfaces}
    pods = [
        {
            "name": pod.name,
            "netns": _netns(pod),
            "interface": POD_IF,
            "mac": pod.mac,
            "host_interface": pod.lxc,
            **_addresses(pod),
            "addresses": [each for family in Family for each in pod.every_address(family)],
        }
        for pod in node.pods
    ]
    return {
        "name": node.name,
        "netns": _netns(node),
        **_addresses(node),
        "gateway": {family.name: node.gateway[family] for family in Family},
        "uplinks": served,
        "interfaces": interfaces,
        "pods": pods,
        "routes": _routes(node, indexes),
        "neighbours": _neighbours(node, indexes),
    }


def _interfaces(node: Node, served: list[str]) -> list[dict[str, Any]]:
    addresses: dict[int, list[str]] = {}
    for entry in node.ns.netlink.get_addr():
        own = entry.get_attr("IFA_LOCAL") or entry.get_attr("IFA_ADDRESS")
        addresses.setdefault(entry["index"], []).append(f"{own}/{entry['prefixlen']}")
    lxcs = {pod.lxc for pod in node.pods}
    found = []
    for link in node.ns.netlink.get_links():
        name = link.get_attr("IFLA_IFNAME")
        kind = "pod" if name in lxcs else "uplink" if name in served else "other"
        found.append(
            {
                "name": name,
                "ifindex": link["index"],
                "kind": "loopback" if link["flags"] & _LOOPBACK else kind,
                "mac": link.get_attr("IFLA_ADDRESS") or "",
                "mtu": link.get_attr("IFLA_MTU"),
                "addresses": addresses.get(link["index"], []),
            }
        )
    return found


def _routes(node: Node, indexes: dict[int, str]) -> list[dict[str, Any]]:
    """The main table's."""
    found = []
    for family in Family:
        for route in node.ns.netlink.get_routes(family=family.af, table=_MAIN):
            kind = route["type"]
            if kind != _UNICAST and kind not in _WORDS:
                continue
            prefix = route.get_attr("RTA_DST") or {4: "0.0.0.0", 6: "::"}[family]
            found.append(
                {
                    "destination": f"{prefix}/{route['dst_len']}",
                    "type": _WORDS.get(kind, "unicast"),
                    "interface": indexes.get(route.get_attr("RTA_OIF"), ""),
                    "gateway": route.get_attr("RTA_GATEWAY") or "",
                }
            )
    return found


def _neighbours(node: Node, indexes: dict[int, str]) -> list[dict[str, Any]]:
    """Those whose MAC is known."""
    found = []
    for family in Family:
        for entry in node.ns.netlink.get_neighbours(family=family.af):
            mac = entry.get_attr("NDA_LLADDR")
            if mac and entry["ifindex"] in indexes:
                interface = indexes[entry["ifindex"]]
                address = entry.get_attr("NDA_DST")
                found.append({"address": address, "mac": mac, "interface": interface})
    return found
