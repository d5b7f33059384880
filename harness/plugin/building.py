# SPDX-License-Identifier: Apache-2.0
"""What the fixtures of `pytest_hostroute` do: testbeds, fresh for each test."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.datapath import Datapath, Features, NodeSettings, features, find
from harness.datapath.features import FEATURES
from harness.plugin.implementations import note_programs
from harness.plugin.options import option
from harness.plugin.options import settings as chosen_settings
from harness.plumbing import scratch
from harness.plumbing.names import directory_of_test
from harness.testbed import Testbed
from harness.topology import TESTBEDS, Family, Topology, netkit
from harness.watch.capture import reap_ending
from harness.watch.evidence import KernelLog

BuildTestbed = Callable[..., Testbed]
TESTBEDS_KEY = pytest.StashKey[list[Testbed]]()


def kernel_log() -> Iterator[KernelLog]:
    """The kernel's log from now on."""
    log = KernelLog()
    try:
        with log.followed():
            yield log
    finally:
        log.close()


def run_directory() -> Iterator[Path]:
    """A scratch directory that outlives every tcpdump of the run."""
    path = scratch.make("run")
    try:
        yield path
        reap_ending()
    finally:
        scratch.remove(path)


def require_feature(name: str) -> None:
    """Skip if this kernel is too old for a feature, fail if a newer one lacks it."""
    feature, answer = features.find(name), features.probe(name)
    if answer.supported:
        return
    why = f"the kernel lacks {name} ({feature.origin}): {answer.detail}"
    if feature.excused():
        pytest.skip(why)
    pytest.fail(why, pytrace=False)


def require_bpf(testbed: Testbed) -> None:
    """Skip if this kernel is too old for a helper.

    Fail if it is new enough to have it, and for any other reason that a node which was asked for
    host routing runs legacy.
    """
    for entry in testbed.datapaths:
        if not entry.degraded or entry.decision is None:
            continue
        for check in entry.decision.checks:
            if check.met:
                continue
            feature = FEATURES.get(check.requirement)
            if feature is None or not feature.excused():
                pytest.fail(f"{entry.node.name} runs legacy: {check.detail}", pytrace=False)
            pytest.skip(f"{entry.status()}")


def on_device(topology: Topology, datapath: Datapath, config: pytest.Config) -> Topology:
    """A test's topology with its pods' device; skips, or fails, where the kernel lacks that.

    The test itself decides, then `--hr-pod-device`, then the datapath.
    """
    device = topology.pod_device or option(config, "pod-device")
    if (device or datapath.claims.pod_devices[0]) in netkit.MODES:
        require_feature("netkit")
    return dataclasses.replace(topology, pod_device=device)


@contextmanager
def building(
    request: pytest.FixtureRequest, run_log: KernelLog, directory: Path
) -> Iterator[BuildTestbed]:
    """A function that builds testbeds; what it built is closed when the context ends."""
    built: list[Testbed] = []
    request.node.stash[TESTBEDS_KEY] = built
    directory = directory / directory_of_test(request.node.nodeid, request.node.path)

    def build(
        name: str,
        datapath: Datapath,
        family: Family,
        topology: dict[str, Any] | None = None,
        settings: NodeSettings | None = None,
        features: Features | None = None,
    ) -> Testbed:
        wanted = dataclasses.replace(TESTBEDS.find(name).topology, **(topology or {}))
        wanted = on_device(wanted, datapath, request.config)
        if request.node.get_closest_marker("needs_macs") and not wanted.pods_have_macs:
            pytest.skip(f"pods have no MACs: pod_device={wanted.pod_device}")
        testbed = Testbed(
            wanted, datapath, family, directory / str(len(built)),
            settings or chosen_settings(request.config), features, name=name,
        )  # fmt: skip
        built.append(testbed)
        note_programs(request.config, testbed)
        if settings is None and features is None:  # else what they come to is the test's business
            require_bpf(testbed)
        return testbed

    with ExitStack() as closing:
        closing.callback(run_log.collect)
        yield build
        for testbed in built:
            closing.callback(testbed.close)


def testbed_of(request: pytest.FixtureRequest, build: BuildTestbed, name: str) -> Testbed:
    """The testbed that a test's parameters and its marker `topology` ask for."""
    parameters = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    marker = request.node.get_closest_marker("topology")
    return build(
        name,
        parameters.get("datapath") or find("bpf"),
        parameters.get("family", Family.ipv4),
        dict(marker.kwargs) if marker else {},
    )
