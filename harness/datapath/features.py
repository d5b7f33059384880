# SPDX-License-Identifier: Apache-2.0
"""The table of what kernels can do: since when, and how it is found out.

Datapaths and tests name rows of it. A test may skip only where the running kernel is older than
the feature's first release; a probe that fails on one that is new enough is a failure. A kernel
that is older and has the feature all the same, by a backport, has it: only the probe says so.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial

from harness.datapath import probes
from harness.datapath.probes import Probe
from harness.plumbing.errors import UnknownNameError

#: Device → the option that builds it.
OPTIONS = {"netkit": "CONFIG_NETKIT"}
#: Variable that names the devices a guest's kernel must have; harness/kernels sets it.
OWED = "HOSTROUTE_DEVICES"


@dataclass(frozen=True)
class Feature:
    """Something a kernel has or has not.

    Attributes:
        name: As tests and tables call it.
        kind: `helper`, `flag`, `hook` or `device`.
        since: The first release that has it, upstream.
        how: How it is probed.
        probe: Asks the running kernel.
        device: The device that it is, or is of, where a kernel of any age may be built without.
    """

    name: str
    kind: str
    since: str
    how: str
    probe: Callable[[], Probe]
    device: str = ""

    @property
    def first(self) -> tuple[int, int]:
        """The first release, as in (6, 6)."""
        return release(self.since)

    @property
    def origin(self) -> str:
        """Where it comes from, in words: since when, and the option that builds it."""
        return f"since {self.since}" + (f", {OPTIONS[self.device]}" if self.device else "")

    def excused(
        self, running: tuple[int, int] | None = None, owed: Iterable[str] | None = None
    ) -> bool:
        """Whether a kernel may lack it: it is too old, or may be built without.

        Args:
            running: Its release; the running kernel's by default.
            owed: Devices that it must have been built with; by default those that
                harness/kernels/kernels.toml lists, where it is a guest's.
        """
        must = os.environ.get(OWED, "").split() if owed is None else owed
        optional = bool(self.device) and self.device not in must
        return (running or release()) < self.first or optional


def release(text: str | None = None) -> tuple[int, int]:
    """A kernel's release as in (6, 18); the running kernel's by default."""
    major, minor = re.findall(r"\d+", text if text is not None else platform.release())[:2]
    return int(major), int(minor)


def _helper(name: str, since: str, number: int, *arguments: int | str) -> Feature:
    """A helper, `bpf_<name>`; for its number and arguments see `probes.call`."""
    return Feature(name, "helper", since, "a program that calls it is loaded",
                   partial(probes.helper, number, arguments))  # fmt: skip


_OF_LOOKUP = "bpf_fib_lookup is run with it on a packet"
_RUN_PEER = "bpf_redirect_peer is run with it on a packet"
_NFT = "nft puts a chain there"

#: Name → feature. A datapath's `needs` and a test's `require_feature` name rows of it.
FEATURES: dict[str, Feature] = {
    feature.name: feature
    for feature in (
        # redirect_peer and redirect_neigh, its nexthop form too, came with 5.10 (9aa1206e8f48,
        # b4ab31414970, ba452c9e996d).
        _helper("redirect_peer", "5.10", 155, 1, 0),
        _helper("redirect_neigh", "5.10", 152, 1, 0, 0, 0),
        _helper("fib_lookup", "4.18", 69, "context", "buffer", 64, 0),
        _helper("check_mtu", "5.12", 163, "context", 0, "buffer", 0, 0),
        _helper("skb_set_tstamp", "5.18", 192, "context", 0, 0),
        # By uapi/linux/bpf.h of these releases; the first came with 31de4105f00d, the third with
        # dab4e1f06cab. Debian's 6.1 has the first three by backports.
        Feature("fib-skip-neigh", "flag", "6.3", _OF_LOOKUP, partial(probes.lookup_flag, 4)),
        Feature("fib-tbid", "flag", "6.5", _OF_LOOKUP, partial(probes.lookup_flag, 8)),
        Feature("fib-src", "flag", "6.7", _OF_LOOKUP, partial(probes.lookup_flag, 16)),
        Feature("fib-mark", "flag", "6.10", _OF_LOOKUP, partial(probes.lookup_flag, 32)),
        Feature("fib-vlan-input", "flag", "7.3", _OF_LOOKUP, partial(probes.lookup_flag, 128)),
        Feature("peer-egress", "flag", "7.3", _RUN_PEER, partial(probes.peer_flag, 2)),
        Feature("clsact", "hook", "4.5", "the qdisc is put onto a device", probes.clsact),
        Feature("netdev-ingress", "hook", "4.2", _NFT, probes.netdev_hook("ingress")),
        Feature("netdev-egress", "hook", "5.16", _NFT, probes.netdev_hook("egress")),
        Feature("tcx", "hook", "6.6", "a BPF link is put onto a device", probes.tcx),
        Feature("netkit", "device", "6.7", "a pair of devices is made", probes.device("netkit"),
                "netkit"),
        Feature("netkit-scrub", "flag", "6.12", "a pair is made and asked for its policy",
                probes.netkit_scrub, "netkit"),
        Feature("big-tcp", "flag", "5.19", "a device is asked for its limit",
                probes.large_packets(6)),
        Feature("big-tcp-ipv4", "flag", "6.3", "a device is asked for its limit",
                probes.large_packets(4)),
        Feature("raw-tracepoint", "hook", "4.17", "a program is attached", probes.raw_tracepoint),
        Feature("test-run", "hook", "4.12", "a program is run on a packet",
                probes.run_of_a_program),
        # a3cfe84cca28; Debian's 6.1 has it by a backport.
        Feature("test-run-sum", "flag", "6.11", "a program is run on a packet that has a sum",
                probes.run_with_a_sum),
        Feature("btf", "hook", "5.4", "the kernel's own types are looked for",
                probes.type_information),
    )
}  # fmt: skip
#: The helpers among them.
HELPERS = tuple(name for name, feature in FEATURES.items() if feature.kind == "helper")
#: A kernel's answers, by the feature's name.
Features = Mapping[str, Probe]


def find(name: str) -> Feature:
    """The feature of that name.

    Raises:
        UnknownNameError: There is none.
    """
    if name not in FEATURES:
        raise UnknownNameError(f"feature {name!r} is unknown", f"use {', '.join(FEATURES)}")
    return FEATURES[name]


@lru_cache(maxsize=len(FEATURES))
def probe(name: str) -> Probe:
    """Ask the running kernel for a feature, once.

    A refusal that the probe did not foresee is an answer as well: the feature is not there.
    """
    try:
        return find(name).probe()
    except OSError as error:
        said = str(error.filename or "").strip().splitlines()
        return Probe(False, said[-1] if said else os.strerror(error.errno or 0))


def running_kernel(names: Iterable[str]) -> dict[str, Probe]:
    """The running kernel's answers for some features.

    Raises:
        UnknownNameError: One of them is not in the table.
        PrivilegeError: The kernel lets us ask nothing.
    """
    return {name: probe(name) for name in names}
