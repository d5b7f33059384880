# SPDX-License-Identifier: Apache-2.0
"""A machine whose sysctls are hostile, as every namespace and device of this process takes it over.

The machine's own are never changed: what a namespace would have been born with is written to it
before the harness sees it, to `all`, `default` and `lo`, and to a device before it is pinned.
Also a plugin for a pytest run of its own (`-p tests.support.hostile_sysctls`): HOSTILE names the
keys, by a path's last part, or `all`; UNPINNED those that the harness then must not pin.
"""

from __future__ import annotations

import os
from collections.abc import Container

from harness.plumbing.netns import NetNS
from harness.topology import sysctls
from harness.topology.sysctls import PINNED, Pins, of_device

#: Whatever is not 0 becomes 0, and 0 becomes 1, but for these.
_VALUES: dict[str, int | str] = {
    "hop_limit": 7, "rp_filter": 1, "force_mld_version": 2, "medium_id": 7,
    "mldv1_unsolicited_report_interval": 10_000, "router_solicitations": 3, "ndisc_tclass": 0x20,
    "arp_ignore": 2, "arp_announce": 2, "proxy_ndp": 1, "keep_addr_on_down": 1,
    "ping_group_range": "1 0", "icmp_ratelimit": 1000, "ratelimit": 1000,
    "tcp_congestion_control": "reno",
    "tcp_rmem": "4096 4096 4096", "tcp_wmem": "4096 4096 4096",
    "base_reachable_time_ms": 200, "gc_stale_time": 1, "retrans_time_ms": 60_000,
    "delay_first_probe_time": 600, "unres_qlen_bytes": 0, "app_solicit": 1, "mcast_resolicit": 1,
}  # fmt: skip


def last(key: str) -> str:
    return key.rsplit("/", 1)[1]


def hostile(key: str, pinned: int | str) -> int | str:
    """What a hostile machine has instead of what is pinned."""
    return _VALUES.get(last(key), 0 if pinned else 1)


#: What each takes over; of before anything was unpinned.
_NAMESPACE = {key: hostile(key, pin.value) for key, pin in (PINNED | of_device("lo")).items()}
_DEVICE = {key: hostile(key, pin.value) for key, pin in of_device("{}").items()}


def make_hostile(patch, keys: Container[str] | None = None) -> None:
    """Make whatever is built from now on take these over; None: all that is pinned.

    Args:
        patch: `setattr`, or monkeypatch's.
        keys: By their paths' last parts.
    """
    born, pin_devices = NetNS.__init__, Pins.pin_devices

    def wanted(values):
        return {key: value for key, value in values.items() if keys is None or last(key) in keys}

    def be_born(self, name):
        born(self, name)
        there = self.read_sysctls(wanted(_NAMESPACE), _NAMESPACE)
        self.sysctls({key: _NAMESPACE[key] for key in there})

    def take_over(self, ns, ifnames):
        for name in ifnames:
            ns.sysctls({key.format(name): value for key, value in wanted(_DEVICE).items()})
        pin_devices(self, ns, ifnames)

    patch(NetNS, "__init__", be_born)
    patch(Pins, "pin_devices", take_over)


def _unpin(keys: Container[str]) -> None:
    for pins in (PINNED, *sysctls.NEIGHBOUR.values()):
        for key in [key for key in pins if key.rsplit("/", 1)[-1] in keys]:
            del pins[key]


def pytest_configure() -> None:
    """As a plugin."""
    names = os.environ["HOSTILE"].split(",")
    make_hostile(setattr, None if names == ["all"] else names)
    _unpin(os.environ.get("UNPINNED", "").split(","))
