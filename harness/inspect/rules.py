# SPDX-License-Identifier: Apache-2.0
"""What a node's firewall would do with its pods' packets: nftables and both kinds of iptables.

Read as `nft list ruleset` and `iptables-save` print them, a line at a time: on a node of 10,000
services there are 100,000 of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import partial

from harness.inspect.notes import Notes
from harness.plumbing.netns import NetNS

_SECONDS = 60.0  # for a ruleset
_TABLE = re.compile(r"^table (\w+) (\S+) \{")
_BLOCK = re.compile(r"^\t(chain|flowtable) (\S+) \{")
_HOOK = re.compile(r"type \w+ hook forward .*?policy (\w+)")
_DEVICES = re.compile(r"devices = \{ ([^}]*) \}")
_MASQUERADE = re.compile(r"\bmasquerade\b|MASQUERADE")
_OFFLOADS = re.compile(r"\bflow (?:add|offload) @")
#: kube-proxy's: KUBE-… of iptables, the tables `kube-proxy` of nft.
_KUBE_CHAIN, _KUBE_TABLE = "KUBE-", "kube-proxy"
_LEGACY = {"ip": "iptables-legacy-save", "ip6": "ip6tables-legacy-save"}


@dataclass(frozen=True)
class Chain:
    """A chain on FORWARD.

    Attributes:
        table: Such as `ip filter`.
        name: The chain's.
        policy: `accept` or `drop`.
        rules: How many.
    """

    table: str
    name: str
    policy: str
    rules: int


@dataclass(frozen=True)
class Flowtable:
    """A flowtable of nft: flows in it are forwarded past FORWARD, without a program.

    Attributes:
        table: Such as `inet filter`.
        name: Its name.
        devices: Where it takes packets from.
    """

    table: str
    name: str
    devices: tuple[str, ...]


@dataclass
class Rules:
    """A node's rules, as far as they touch pods' packets.

    Attributes:
        forward: Chains on FORWARD.
        kube_proxy: Kind of rules → how many chains of kube-proxy's.
        masquerade: How many rules masquerade.
        flowtables: Every flowtable.
        offloads: How many rules put flows into a flowtable.
        read: Whether the rules could be read.
    """

    forward: list[Chain] = field(default_factory=list)
    kube_proxy: dict[str, int] = field(default_factory=dict)
    masquerade: int = 0
    flowtables: list[Flowtable] = field(default_factory=list)
    offloads: int = 0
    read: bool = True


def find(ns: NetNS, notes: Notes, nft_there: bool | None) -> Rules:
    """Read a node's rules.

    Args:
        ns: The node's namespace.
        notes: Takes what could not be read.
        nft_there: Whether nf_tables is in the kernel; False: to ask would load it.
    """
    rules = Rules()
    if nft_there is not False:
        text = notes.attempt("rules of nft", lambda: _nft(ns), None)
        rules.read = text is not None
        take_nft(rules, (text or "").splitlines())
    for family, tool in _LEGACY.items():
        if _legacy_tables(ns, family):
            saved = notes.attempt(
                f"rules of {tool}", partial(ns.run, [tool], timeout=_SECONDS), None
            )
            rules.read = rules.read and saved is not None
            take_legacy(rules, family, (saved or "").splitlines())
    return rules


def _nft(ns: NetNS) -> str | None:
    return ns.run(["nft", "-s", "list", "ruleset"], timeout=_SECONDS)


def _legacy_tables(ns: NetNS, family: str) -> bool:
    """Whether the older iptables has tables: its tool would load the module where there are none.

    Tables that exist in every namespace alike have no rules here as long as nobody made any.
    """
    try:
        return bool(ns.read(f"/proc/net/{family}_tables_names").strip())
    except OSError:
        return False


def take_nft(rules: Rules, lines: Iterable[str]) -> None:
    """Take what `nft list ruleset` prints."""
    table = kind = name = ""
    forward: Chain | None = None
    for line in lines:
        if found := _TABLE.match(line):
            table = f"{found[1]} {found[2]}"
        elif found := _BLOCK.match(line):
            kind, name, forward = found[1], found[2], None
            if kind == "chain":
                _count_kube(rules, table, name)
        elif line == "\t}":
            if forward is not None:
                rules.forward.append(forward)
            kind, forward = "", None
        elif kind == "flowtable" and (found := _DEVICES.search(line)):
            devices = tuple(each.strip().strip('"') for each in found[1].split(","))
            rules.flowtables.append(Flowtable(table, name, devices))
        elif kind == "chain":
            forward = _chain_line(rules, line, forward, (table, name))


def _chain_line(
    rules: Rules, line: str, forward: Chain | None, place: tuple[str, str]
) -> Chain | None:  # fmt: skip
    """Count a line of a chain; returns the chain, where it is on FORWARD."""
    if found := _HOOK.search(line):
        return Chain(*place, found[1], 0)
    _count_rule(rules, line)
    return replace(forward, rules=forward.rules + 1) if forward else None


def _count_kube(rules: Rules, table: str, chain: str) -> None:
    label = ""
    if table.partition(" ")[2] == _KUBE_TABLE:
        label = "nft"
    elif chain.startswith(_KUBE_CHAIN):
        label = "iptables (nft)"
    if label:
        rules.kube_proxy[label] = rules.kube_proxy.get(label, 0) + 1


def _count_rule(rules: Rules, line: str) -> None:
    rules.masquerade += bool(_MASQUERADE.search(line))
    rules.offloads += bool(_OFFLOADS.search(line) or 'xt target "FLOWOFFLOAD"' in line)


def take_legacy(rules: Rules, family: str, lines: Iterable[str]) -> None:
    """Take what `iptables-legacy-save` prints."""
    table, policy, count = "", "", 0
    for line in lines:
        if line.startswith("*"):
            table = line[1:].strip()
        elif line.startswith(":FORWARD ") and table == "filter":
            policy = line.split()[1].lower()
        elif line.startswith(f":{_KUBE_CHAIN}"):
            label = "iptables (legacy)"
            rules.kube_proxy[label] = rules.kube_proxy.get(label, 0) + 1
        elif line.startswith("-A "):
            count += table == "filter" and line.startswith("-A FORWARD ")
            _count_rule(rules, line)
    if policy:
        rules.forward.append(Chain(f"{family} filter (legacy)", "FORWARD", policy, count))
