# SPDX-License-Identifier: Apache-2.0
"""What a datapath says it does. Tests judge a datapath by its claims, never by its name.

`Claims` is the table: each field is a claim, with its values, its meaning and the entries of the
catalogue that rest on it. A new claim is one new field.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.plumbing.errors import UnknownNameError
from harness.topology import POD_DEVICES, Family

BOTH = frozenset(Family)
NEITHER: frozenset[Family] = frozenset()
_YES_OR_NO = (True, False)


class ClaimError(UnknownNameError):
    """A datapath claims something that the table lacks, or claims that contradict each other."""


@dataclass(frozen=True)
class Claim:
    """A row of the table.

    Attributes:
        name: Its name, which is a field of `Claims`.
        values: What it may be. Of a claim by family: the families that it may hold.
        meaning: What it says, in a few words.
        ids: Entries of the catalogue that rest on it.
        declinable: Whether a datapath may do without. Tests that rest on it are then "not claimed";
            any other claim only decides what is expected.
        family: The only family that it speaks of; None: both.
    """

    name: str
    values: tuple[object, ...]
    meaning: str
    ids: tuple[str, ...]
    declinable: bool
    family: Family | None = None

    @property
    def by_family(self) -> bool:
        """Whether its value is a set of families."""
        return all(isinstance(value, Family) for value in self.values)

    def concerns(self, family: Family | None) -> bool:
        """Whether it says anything of a family."""
        return self.family is None or family is None or self.family is family

    def declined(self, value: object, family: Family | None = None) -> bool:
        """Whether a value declines it, for a family or, with None, for both."""
        if isinstance(value, frozenset) and family is not None:
            return family not in value
        return not value

    def accepts(self, value: object) -> bool:
        """Whether it may have that value."""
        if self.by_family:
            return isinstance(value, frozenset) and value <= set(self.values)
        return any(type(value) is type(known) and value == known for known in self.values)


_ROW = "row"


def _row(
    default: object, values: tuple[object, ...], meaning: str, ids: str, *,
    declinable: bool = False, family: Family | None = None,
) -> Any:  # fmt: skip
    numbers = tuple(f"HR-{number}" for number in ids.split())
    return dataclasses.field(
        default=default, metadata={_ROW: (values, meaning, numbers, declinable, family)}
    )


def _does(meaning: str, ids: str, family: Family | None = None) -> Any:
    """A row: something that a datapath does, or does without."""
    return _row(False, _YES_OR_NO, meaning, ids, declinable=True, family=family)


def _families(meaning: str, ids: str) -> Any:
    """A row: something that it does, for some families."""
    return _row(NEITHER, tuple(Family), meaning, ids, declinable=True)


def _decides(meaning: str, ids: str) -> Any:
    """A row: yes and no are both right, and lead to different expectations."""
    return _row(False, _YES_OR_NO, meaning, ids)


#: What an empty value reads as.
NONE = "none"
DELIVERIES = ("stack", "lxc", "peer", "netkit")


@dataclass(frozen=True, kw_only=True)
class Claims:
    """What a datapath says it does; the default is what the plain stack does, and no more.

    Raises:
        ClaimError: A value that the table lacks, or claims that contradict each other.
    """

    bypasses_stack: bool = _decides(
        "pods' traffic never enters the node's IP stack: no netfilter hook, no conntrack",
        "01 02 03 04 05 06 07 08 09 12 15 20 27 30 33 37 42 53 59 61 63 82",
    )
    delivers: str = _row(
        "stack", DELIVERIES,
        "how a packet of this node reaches a local pod: by the stack, bpf_redirect to its lxc,"
        " bpf_redirect_peer into it, or a netkit pair",
        "02 06 07 09 11 12 16 17 18 19 29 30 34 35 38 42 45 46 49 60 61 78 79",
    )  # fmt: skip
    delivers_off_wire: str = _row(
        "", ("", *DELIVERIES),
        "the same of a packet that comes off the wire; empty: as `delivers`",
        "08 12 17 18 27 30 40 42 49 63 65 79",
    )  # fmt: skip
    forwards: str = _row(
        "stack", ("stack", "redirect", "neigh"),
        "how a packet leaves the node: by the stack, by bpf_fib_lookup and bpf_redirect, or by"
        " bpf_redirect_neigh that looks up by itself",
        "01 19 20 21 22 27 28 29",
    )  # fmt: skip
    attaches: str = _row(
        "clsact", ("clsact", "tcx", "netkit"),
        "the hook of the pods' devices that its programs are attached to", "78 79 82",
    )  # fmt: skip
    routing: str = _row(
        "direct", ("direct", "tunnel"),
        "how pods' packets travel between nodes; a tunnel is not built yet", "08",
    )  # fmt: skip
    local_pods: str = _row(
        "routes", ("routes", "table"),
        "how a local pod is found: by the node's routes, or in a table of the datapath's own",
        "22 43",
    )  # fmt: skip
    node_addresses: str = _row(
        "lookup", ("lookup", "table"),
        "how the node's own addresses are known: looked up, or in a table that `sync` writes", "20",
    )  # fmt: skip
    masquerade: bool = _decides(
        "a pod's address is masqueraded on its way out of the cluster, with default settings",
        "08 40 79",
    )
    services: frozenset[Family] = _families(
        "translates services: ClusterIP, NodePort, external addresses, affinity; asked at a node,"
        " a backend elsewhere answers through it", "06 09 35 42 58 59 60 61 62 63 64 65 66 86",
    )  # fmt: skip
    shows_client: bool = _decides(
        "who asks at a node's NodePort is seen by a backend there under the own address, not under"
        " that of the pods' gateway", "42",
    )  # fmt: skip
    keeps_mark: bool = _decides("skb->mark reaches the pod", "37")
    keeps_tstamp: bool = _decides("skb->tstamp reaches the pod", "37")
    accepts_otherhost: bool = _decides(
        "delivers frames that were not addressed to the NIC (PACKET_OTHERHOST)", "47"
    )
    counts: bool = _decides(
        "its programs count verdicts, drops and lookups, which `Installed.counters` reads",
        "01 02 16 17 18 19 20 21 22 27 28 29 30 34 35 42 45 53 54 55 57 58 82 86",
    )
    decrements_ttl: bool = _does(
        "takes one from TTL or hop limit, as every router does", "13 17 31 42"
    )
    time_exceeded: frozenset[Family] = _families("answers expired packets with an ICMP error", "17")
    quotes_in_full: bool = _decides(
        "an ICMP error quotes as much as fits into 576 bytes, 1280 with IPv6 (RFC 1812, 4.3.2.3;"
        " RFC 4443, 2.4(c)); otherwise at least the header and 8 bytes (RFC 792)", "17"
    )  # fmt: skip
    limits_errors: bool = _does("limits the rate of its ICMP errors", "17")
    too_big: frozenset[Family] = _families(
        "answers packets beyond the MTU with frag needed or packet too big", "30 31"
    )
    big_tcp: frozenset[Family] = _families(
        "carries TCP packets of more than 64 KiB that are cut later (BIG TCP)", "33 57"
    )
    fragments: bool = _does(
        "fragments IPv4 packets beyond the MTU that allow it", "30 31", family=Family.ipv4
    )
    answers_arp: bool = _does("answers ARP for the pods' gateway", "16 79", family=Family.ipv4)
    answers_nd: bool = _does(
        "answers neighbour solicitations for the pods' gateway", "16 79", family=Family.ipv6
    )
    answers_gateway_ping: frozenset[Family] = _families(
        "answers pings of the pods' gateway", "16 60"
    )
    source_check: frozenset[Family] = _families(
        "drops what a pod sends from another's address", "45 82"
    )
    several_addresses: bool = _does(
        "takes every address that a pod is given for the pod's, as `sync` tells it", "45"
    )
    wire_source_check: frozenset[Family] = _families(
        "delivers nothing off the wire that claims to come from this node or from no host", "45"
    )
    header_check: frozenset[Family] = _families(
        "drops packets whose header has a wrong checksum or length", "18"
    )
    options_to_stack: frozenset[Family] = _families(
        "leaves packets with IP options or hop-by-hop headers to the stack", "20"
    )
    keeps_link_scope: bool = _does(
        "routes neither link-local nor multicast nor tagged frames", "23 45"
    )
    refusing_routes: str = _row(
        "", ("", "drop", "tell"),
        "obeys blackhole, unreachable and prohibit routes: drops in silence, or sends the ICMP"
        " error of the last two", "19", declinable=True,
    )  # fmt: skip
    tells_no_route: frozenset[Family] = _families(
        "answers with an ICMP error where no route is", "21"
    )
    obeys_forwarding: frozenset[Family] = _families(
        "forwards nothing off the node for an lxc whose `forwarding` is off", "22"
    )
    any_device: bool = _does(
        "forwards out of the device that a route names, whichever it is, not of the NIC alone", "28"
    )
    refreshes_neighbours: bool = _does(
        "keeps the neighbour layer informed that a next hop is in use", "28"
    )

    policy: bool = _does(
        "holds pods to the rules of `NodeSettings.policy`, and its nodes to changed ones at once",
        "09 34 35 42 49 50 51 52 53 54 55 56 57 86",
    )

    def __post_init__(self) -> None:
        for claim in CLAIMS.values():
            value = getattr(self, claim.name)
            if not claim.accepts(value):
                known = ", ".join(map(text, claim.values))
                kind = "a frozenset of" if claim.by_family else "one of"
                raise ClaimError(
                    f"claim {claim.name} cannot be {text(value)}", f"use {kind} {known}"
                )
        for broken, why in self._contradictions():
            if broken:
                raise ClaimError(f"claims contradict each other: {why}", "change one of them")

    def _contradictions(self) -> list[tuple[bool, str]]:
        """Whether it is so, and what contradicts what."""
        ways = {self.delivers, self.off_wire, self.forwards}
        within = {self.delivers, self.off_wire}
        return [
            (
                self.bypasses_stack and "stack" in ways,
                "bypasses_stack, but delivers or forwards by the stack",
            ),
            (
                not self.bypasses_stack and ways != {"stack"},
                "delivers or forwards past the stack, but not bypasses_stack",
            ),
            (
                self.keeps_mark and within != {"peer"},
                "keeps_mark, but the lxc scrubs the mark of what is delivered through it",
            ),
            (
                "netkit" in within and self.attaches != "netkit",
                "delivers = netkit, but its programs are not attached to netkit",
            ),
            (
                self.attaches == "netkit" and bool(within & {"lxc", "peer"}),
                "attaches = netkit, but netkit shows neither lxc's nor peer's legs: redirect_peer"
                " is lost there",
            ),
            (
                self.local_pods == "table" and not self.bypasses_stack,
                "local_pods = table, but the stack delivers by its routes",
            ),
            (
                self.accepts_otherhost and not self.bypasses_stack,
                "accepts_otherhost, but the stack drops PACKET_OTHERHOST",
            ),
            (self.routing == "tunnel", "routing = tunnel, which is not built yet"),
        ]

    @property
    def off_wire(self) -> str:
        """How a packet off the wire is delivered."""
        return self.delivers_off_wire or self.delivers

    @property
    def stages(self) -> frozenset[str]:
        """What of `requirements.STAGES` it carries out when a node asks for it."""
        has = {"service": self.services, "policy": self.policy}
        return frozenset(stage for stage, claimed in has.items() if claimed)

    @property
    def pod_devices(self) -> tuple[str, ...]:
        """The `Topology.pod_device`s that its programs can be attached to; the default first."""
        if self.attaches == "netkit":
            return tuple(device for device in POD_DEVICES if device.startswith("netkit"))
        return POD_DEVICES

    def __str__(self) -> str:
        """Each that is not the default: `delivers = peer, time_exceeded = ipv4, ipv6`."""
        fields = dataclasses.fields(self)
        return "; ".join(
            f"{field.name} = {text(getattr(self, field.name))}"
            for field in fields
            if getattr(self, field.name) != field.default
        )


def text(value: object) -> str:
    """A value of a claim as people read it."""
    if isinstance(value, (frozenset, set)):
        return ", ".join(sorted(map(text, value))) or NONE
    if isinstance(value, Family):
        return value.name
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) or NONE


#: Name → row, in the order of `Claims`.
CLAIMS: Mapping[str, Claim] = {
    field.name: Claim(field.name, *field.metadata[_ROW]) for field in dataclasses.fields(Claims)
}


def unclaimed(claims: Claims, names: tuple[str, ...], family: Family | None) -> str:
    """The first of some declinable claims that a datapath declines, as `time_exceeded = ipv4`.

    Args:
        claims: The datapath's.
        names: Of the claims that a test rests on.
        family: Of the test's traffic; None: of no family in particular.

    Returns:
        Empty: it claims them all.

    Raises:
        ClaimError: There is no such claim, or none may be declined.
    """
    for name in names:
        claim = declinable(name)
        value = getattr(claims, name)
        if claim.concerns(family) and claim.declined(value, family):
            return f"{name} = {text(family)}" if claim.by_family and family else name
    return ""


def declinable(name: str) -> Claim:
    """The row of a claim that a datapath may decline.

    Raises:
        ClaimError: There is none, or every datapath has a value of it.
    """
    found = CLAIMS.get(name)
    if found is None or not found.declinable:
        known = ", ".join(claim.name for claim in CLAIMS.values() if claim.declinable)
        raise ClaimError(f"no test can rest on claim {name!r}", f"use one of {known}")
    return found


def declined(claims: Claims) -> Iterator[str]:
    """What a datapath declines, in the order of the table; of a claim by family, for which."""
    for claim in CLAIMS.values():
        value = getattr(claims, claim.name)
        if claim.declinable and claim.by_family:
            families = frozenset(f for f in Family if claim.declined(value, f))
            yield from [f"{claim.name} = {text(families)}"] if families else []
        elif claim.declinable and claim.declined(value):
            yield claim.name
