# SPDX-License-Identifier: Apache-2.0
"""The IP stack's own counters: /proc/net/snmp and /proc/net/snmp6 (RFC 4293)."""

from __future__ import annotations

from harness.plumbing.netns import NetNS


def parse_snmp(text: str) -> dict[str, int]:
    """`IpInReceives` → count, from /proc/net/snmp: a line of names, then one of values.

    Raises:
        ValueError: A line of values does not match its line of names.
    """
    lines = text.splitlines()
    counters: dict[str, int] = {}
    for names, values in zip(lines[::2], lines[1::2], strict=True):
        group, *keys = names.split()
        other, *numbers = values.split()
        if group != other:
            raise ValueError(f"/proc/net/snmp: {group} is followed by {other}")
        counters |= {group.rstrip(":") + key: int(n) for key, n in zip(keys, numbers, strict=True)}
    return counters


def parse_snmp6(text: str) -> dict[str, int]:
    """`Ip6InReceives` → count, from /proc/net/snmp6: a name and a value a line."""
    pairs = (line.split() for line in text.splitlines() if line.strip())
    return {name: int(value) for name, value in pairs}


def read(ns: NetNS) -> dict[str, int]:
    """Every counter of both families."""
    return parse_snmp(ns.read("/proc/net/snmp")) | parse_snmp6(ns.read("/proc/net/snmp6"))
