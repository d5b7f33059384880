# SPDX-License-Identifier: Apache-2.0
"""Realistic records, made up: for tests of what reads them. Same arguments, same record."""

from __future__ import annotations

import random
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any

from msgspec import convert

from harness.results import Draft, Run
from harness.results.comparison import Comparison

Document = dict[str, Any]

BASELINE = "legacy"
FAMILIES = ("ipv4", "ipv6")
TESTBEDS = ("one_node", "two_node")


@dataclass(frozen=True)
class Kind:
    """A measure, and about what the arms do under it on one node."""

    title: str
    described: str
    unit: str
    better: str
    arms: Mapping[str, float]
    samples: int
    spread: float = 0.01


_TRIP = {"legacy": 3790.0, "bpf-redirect": 3010.0, "bpf": 2690.0, "limit": 2310.0}
_BITS = {"legacy": 15.3e9, "bpf-redirect": 16.1e9, "bpf": 16.6e9, "limit": 17.9e9}
_RATE = {"legacy": 21_400.0, "bpf-redirect": 25_800.0, "bpf": 27_300.0, "limit": 30_100.0}
KINDS: dict[str, Kind] = {
    "round-trip-udp-1": Kind("round trip", "UDP 1 B", "ns", "lower", _TRIP, 20),
    "round-trip-tcp-1024": Kind(
        "round trip", "TCP Reno 1 KiB", "ns", "lower", {k: v * 1.4 for k, v in _TRIP.items()}, 20
    ),
    "throughput-tcp-1": Kind(
        "throughput", "TCP cubic 1 stream 1 s", "bit/s", "higher", _BITS, 1, 0.03
    ),
    "connections-tcp": Kind("connections", "TCP, a byte each way", "1/s", "higher", _RATE, 1, 0.02),
}
_PATHS: dict[str, str | None] = {"limit": None, "bpf again": "bpf"}
_NODES = {
    "legacy": "legacy (conntrack, FORWARD, masquerade, {services} services:"
    " ipv4 {rules} rules 3f1f0c1c9a1b, ipv6 {rules} rules 6c3a9f8d2b17)",
    "bpf": "bpf (from_container=3b185187f1855c4c from_netdev=9d6ce1b4a1d7b7a2)",
    "bpf-redirect": "bpf-redirect (from_container=51c2f0a91b7e22d3 from_netdev=0f8c1a6b5d4e3f29)",
}


def machine(kernel: str = "6.18.44", **changes: Any) -> Document:
    """A machine's facts."""
    return {
        "kernel": kernel,
        "kernel_version": "#1 SMP PREEMPT_DYNAMIC Debian",
        "cmdline": "console=ttyS0 root=/dev/vda1",
        "architecture": "x86_64",
        "cpu_model": "AMD EPYC 9B14",
        "cpus": 2,
        "cpus_allowed": [0, 1],
        "virtualised": True,
        "governor": "",
        "sysctls": {"core.bpf_jit_enable": "1", "core.netdev_max_backlog": "1000"},
        "python": "3.11.2",
        "packages": {"numpy": "2.4.6", "pyroute2": "0.9.7", "scipy": "1.17.1"},
        "boot_id": "5b1e2a5e-9d5e-4f0e-8a43-6f5f3c2b1a90",
        "machine_id_hash": "9f86d081884c7d65",
        "accelerator": "",
        **changes,
    }


def _nodes(label: str, testbed: str, services: int) -> dict[str, str]:
    names = ("master",) if testbed == "one_node" else ("master", "node1")
    text = _NODES.get(_PATHS.get(label, label) or "", "")
    rules = 5 + 8 * services
    return {name: text.format(services=services, rules=rules) for name in names} if text else {}


def _host() -> Document:
    return {
        "sysctls": {"ipv4.ip_forward": "1", "ipv4.tcp_congestion_control": "cubic"},
        "interfaces": {"eth0": {"mtu": 1500, "qdisc": "noqueue", "offloads": ["tx-checksumming"]}},
    }


def arm(
    label: str, testbed: str, kind: Kind, typical: float, builds: int, chance: random.Random,
    services: int = 100,
) -> Document:  # fmt: skip
    """An arm whose values lie around `typical`, with a latency's tail where there are many."""
    tail = kind.samples > 1
    samples = [
        [
            [
                round(typical * here * (1 + abs(chance.gauss(0, 0.05)) * tail), 2)
                for _ in range(kind.samples)
            ]
            for _ in range(2)
        ]
        for here in (1 + chance.gauss(0, kind.spread) for _ in range(builds))
    ]
    every = sorted(sample for build in samples for turn in build for sample in turn)
    cuts = quantiles(every, n=1000) if tail else []
    return {
        "datapath": _PATHS.get(label, label),
        "again": label.endswith(" again"),
        "settings": {"legacy_services": services, "legacy_masquerade": True},
        "topology": {"nodes": 1 if testbed == "one_node" else 2, "pods_per_node": 2},
        "nodes": _nodes(label, testbed, services),
        "hosts": {name: _host() for name in ("pod1", "pod2")},
        "samples": samples,
        "values": [[median(turn) for turn in build] for build in samples],
        "percentiles": {
            name: cuts[at - 1]
            for name, at in (("p50", 500), ("p90", 900), ("p99", 990), ("p99.9", 999))
            if cuts
        },
    }


def verdict(arms: Mapping[str, Document], label: str, better: str) -> Document:
    """What one would conclude of an arm against the baseline; simple, not the harness's judge."""
    pairs = zip(arms[label]["values"], arms[BASELINE]["values"], strict=True)
    ratios = sorted(median(one) / median(other) for one, other in pairs)
    low, high = ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]
    if low <= 1.01 and high >= 0.99:
        word = "no difference found"
    else:
        word = "faster" if (high < 1) == (better == "lower") else "slower"
    return {
        "arm": label, "against": BASELINE, "verdict": word, "ratio": median(ratios),
        "low": low, "high": high, "p_value": 0.0005, "noise": 0.008, "builds": len(ratios),
        "warnings": [],
    }  # fmt: skip


def comparison(
    measure: str = "round-trip-udp-1", testbed: str = "one_node", family: str = "ipv4",
    factors: Mapping[str, float] | None = None, builds: int = 12, seed: int = 1,
    services: int = 100, partial: str | None = None,
) -> Document:  # fmt: skip
    """A comparison of all arms.

    Args:
        measure: Key in KINDS.
        testbed: On two nodes everything takes a quarter longer.
        family: IPv6 takes 4 % longer.
        factors: Label → what its values are multiplied by; "*" is every arm's.
        builds: How many.
        seed: Another one, other samples.
        services: Of the legacy rules.
        partial: Why it is not whole.
    """
    kind = KINDS[measure]
    factors = dict(factors or {})
    text = f"{seed} {measure} {testbed} {family}"
    chance = random.Random(zlib.crc32(text.encode()))
    longer = (1.25 if testbed == "two_node" else 1.0) * (1.04 if family == "ipv6" else 1.0)
    arms = {}
    for label, typical in {**kind.arms, "bpf again": kind.arms["bpf"]}.items():
        value = typical * longer if kind.better == "lower" else typical / longer
        value *= factors.get(label, factors.get(_PATHS.get(label) or "", 1.0))
        arms[label] = arm(
            label, testbed, kind, value * factors.get("*", 1.0), builds, chance, services
        )
    return {
        "measure": measure, "title": kind.title, "described": kind.described, "unit": kind.unit,
        "better": kind.better, "testbed": testbed, "family": family, "baseline": BASELINE,
        "seed": text, "plan": {"builds": builds, "rounds": 2},
        "criteria": {"confidence": 0.95, "alpha": 0.05, "minimum_effect": 0.01,
                     "resamples": 4000, "seed": 1},
        "partial": partial, "arms": arms,
        "verdicts": [verdict(arms, label, kind.better) for label in arms
                     if label not in (BASELINE, "bpf again")],
    }  # fmt: skip


def growth(
    over: str = "services", testbed: str = "one_node", family: str = "ipv4", services: int = 100
) -> Document:
    """A curve for both arms: legacy grows with the services, bpf does not."""
    counts = (0, 100, 1000, 10_000) if over == "services" else (1, 10, 100, 1000)
    slope = 0.02 if over == "services" else 0.0
    typical = {"legacy": (3400.0, slope), "bpf": (2690.0, 0.0)}
    chance = random.Random(7)
    return {
        "measure": "round-trip-udp-1", "title": "round trip", "described": "UDP 1 B",
        "unit": "ns", "better": "lower", "testbed": testbed, "family": family, "over": over,
        "points": {
            label: [{"x": count, "values": [base + rise * count + chance.gauss(0, 20)
                                            for _ in range(6)]} for count in counts]
            for label, (base, rise) in typical.items()
        },
        "fits": {
            label: {"model": "linear" if rise else "constant", "intercept": base, "slope": rise,
                    "low": rise - 0.001, "high": rise + 0.001}
            for label, (base, rise) in typical.items()
        },
        "arms": {
            label: {
                "datapath": label, "settings": {"legacy_services": services},
                "topology": {"nodes": 1, "pods_per_node": 2},
                "nodes": _nodes(label, testbed, 0 if over == "services" else services),
                "hosts": {"pod1": _host()},
            }
            for label in typical
        },
        "partial": None,
    }  # fmt: skip


_LEGS = {
    "legacy": "pod1:eth0      > request    < reply\nmaster:lxc1    < request    > reply\n"
    "master:lxc2    > request    < reply\npod2:eth0      < request    > reply",
    "bpf": "pod1:eth0      > request    < reply\nmaster:lxc1    < request\n"
    "master:lxc2    < reply\npod2:eth0      < request    > reply",
}
_DATAPATHS = ("legacy", "bpf", "bpf-redirect", "bpf-skip-fib")


def _assertion(
    identity: str, test: str, datapath: str | None, family: str | None, **changes: Any
) -> Document:
    parameters = f"[{datapath}-{family}]" if datapath and family else ""
    return {
        "id": identity, "test": f"testbeds/one_node/{test}{parameters}", "testbed": "one_node",
        "datapath": datapath, "family": family, "outcome": "passed", "reason": "",
        "degraded": [], "legs": [], "observed": {}, **changes,
    }  # fmt: skip


def conformance(mark_kept: bool = True, failed: str = "") -> list[Document]:
    """Some entries of the catalogue on every datapath.

    Args:
        mark_kept: Whether this kernel keeps the mark across the border.
        failed: A datapath on which HR-07 fails.
    """
    found = []
    for datapath in _DATAPATHS:
        stack = datapath in ("legacy", "bpf-redirect")
        for family in FAMILIES:
            legs = _LEGS["legacy" if stack else "bpf"]
            wrong = {"outcome": "failed", "reason": "AssertionError: the legs seen are not the"
                     " legs expected"} if datapath == failed else {}  # fmt: skip
            found.append(_assertion("HR-07", "test_legs.py::test_hr07_ping_between_pods_same_node",
                                    datapath, family, legs=[legs], **wrong))  # fmt: skip
            mark = 0x77 if mark_kept and not stack else 0
            found.append(_assertion(
                "HR-37", "test_border.py::test_hr37_mark_and_tstamp_across_the_border", datapath,
                family, observed={"mark": mark, "tstamp": 0 if stack else 1_234_567_890},
            ))  # fmt: skip
    found.append(_assertion(
        "HR-05", "test_bypass.py::test_hr05_netdev_drop_on_the_nic", "bpf", "ipv4",
        outcome="skipped", reason="no netfilter netdev egress hook before 5.16",
    ))  # fmt: skip
    found.append(_assertion(
        "HR-06", "test_decision.py::test_hr06_unmet_requirement_means_legacy", "bpf", "ipv4",
        degraded=["master: Host Routing: Legacy (switched off by the user)"],
    ))  # fmt: skip
    found.append(_assertion("HR-44", "test_kernel_log.py::test_hr44_no_splat", None, None,
                            testbed=None))  # fmt: skip
    return found


def exact(kernel: str = "6.18.44") -> list[Document]:
    """Instruction counts, a little lower on each newer kernel."""
    newer = 1 - 0.01 * float(kernel.split(".")[1]) / 10
    return [
        {"datapath": datapath, "family": family, "testbed": "one_node", "figure": "round trip",
         "value": value * newer, "unit": "instructions"}
        for datapath, value in (("legacy", 31_500.0), ("bpf-redirect", 24_650.0), ("bpf", 22_660.0))
        for family in FAMILIES
    ]  # fmt: skip


def summary(comparisons: list[Document]) -> list[Document]:
    """The geometric mean over a testbed's measures, and over all."""
    found = []
    for testbed in (*TESTBEDS, "all"):
        for label in ("bpf", "bpf-redirect", "limit"):
            gains = [
                1 / v["ratio"] if entry["better"] == "lower" else v["ratio"]
                for entry in comparisons
                if testbed in (entry["testbed"], "all")
                for v in entry["verdicts"]
                if v["arm"] == label
            ]
            if not gains:
                continue
            mean = 1.0
            for gain in gains:
                mean *= gain ** (1 / len(gains))
            found.append({"arm": label, "against": BASELINE, "testbed": testbed, "gain": mean,
                          "low": mean * 0.98, "high": mean * 1.02,
                          "measures": len(gains)})  # fmt: skip
    return found


def record(
    seed: int = 1, kernel: str = "6.18.44", measures: tuple[str, ...] = tuple(KINDS),
    testbeds: tuple[str, ...] = TESTBEDS, families: tuple[str, ...] = FAMILIES,
    factors: Mapping[str, float] | None = None, builds: int = 12, services: int = 100,
    partial: str | None = None, facts: Mapping[str, Any] | None = None, **parts: Any,
) -> Document:  # fmt: skip
    """A whole record of a run that measured and asserted.

    Args:
        seed: Another one, another run: other samples, another id.
        kernel: Its release.
        measures: Keys in KINDS.
        testbeds: Where.
        families: Over what.
        factors: As for `comparison`: `{"bpf": 1.1}` makes every value of bpf a tenth larger.
        builds: Of every comparison.
        services: Of the legacy rules.
        partial: Why the run did not come to its end.
        facts: Changes of the machine.
        **parts: Replaces whole parts, as in `conformance=[]`.
    """
    comparisons = [
        comparison(measure, testbed, family, factors, builds, seed, services)
        for measure in measures
        for testbed in testbeds
        for family in families
    ]
    return {
        "format": "hostroute-record",
        "version": 2,
        "id": f"run-20261122T174500Z-{kernel}-{seed:06x}",
        "harness": "0.1.0",
        "started": "2026-11-22T17:41:00+00:00",
        "ended": "2026-11-22T17:45:00+00:00",
        "partial": partial,
        "command": ["pytest", "-m", "bench or conformance", "--record"],
        "git": {"commit": "83f3c24" + "0" * 33, "dirty": False},
        "seed": seed,
        "machine": machine(kernel, **(facts or {})),
        "comparisons": comparisons,
        "summary": summary(comparisons),
        "growth": [growth("services"), growth("pods")] if comparisons else [],
        "conformance": conformance(),
        "exact": [],
        **parts,
    }


def run(**arguments: Any) -> Run:
    """The same as the harness has it once it is read."""
    return as_run(record(**arguments))


def as_run(document: Document) -> Run:
    """A document as the harness has it once it is read."""
    return convert(document, Run)


def as_comparison(document: Document) -> Comparison:
    """A comparison as the harness has it."""
    return convert(document, Comparison)


def draft(document: Document) -> Draft:
    """What a run that made this record had in hand before it wrote it."""
    found = as_run(document)
    return Draft(
        found.command, found.git, found.machine, found.started, found.seed, found.batch,
        found.partial, found.comparisons, found.summary, found.growth, found.conformance,
        found.exact,
    )  # fmt: skip
