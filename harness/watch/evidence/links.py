# SPDX-License-Identifier: Apache-2.0
"""Packets and bytes an interface counted: /proc/net/dev (proc(5))."""

from __future__ import annotations

from harness.topology import Host

#: Columns of /proc/net/dev behind the interface's name.
_COLUMNS = {"rx_bytes": 0, "rx_packets": 1, "rx_errors": 2, "rx_dropped": 3,
            "tx_bytes": 8, "tx_packets": 9, "tx_errors": 10, "tx_dropped": 11}  # fmt: skip


def parse_dev(text: str) -> dict[str, dict[str, int]]:
    """Interface → counter → count: `rx_` and `tx_` `packets`, `bytes`, `errors`, `dropped`."""
    rows = (line.rpartition(":") for line in text.splitlines()[2:])
    return {
        name.strip(): {key: int(values.split()[at]) for key, at in _COLUMNS.items()}
        for name, _, values in rows
    }


def read(host: Host) -> dict[str, dict[str, int]]:
    """As `parse_dev`, of the host's own interfaces."""
    counters = parse_dev(host.ns.read("/proc/net/dev"))
    return {name: counters[name] for name in host.macs}
