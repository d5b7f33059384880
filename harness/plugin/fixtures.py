# SPDX-License-Identifier: Apache-2.0
"""Testbeds as fixtures, fresh for each test. Floor 8."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness import datapath as datapaths
from harness import scratch
from harness.bpf.pool import unload_idle
from harness.capture import reap_ending
from harness.datapath import DATAPATHS, Datapath, Features, NodeSettings, features
from harness.datapath.features import FEATURES
from harness.evidence import KernelLog
from harness.names import directory_of_test
from harness.plugin.options import settings as chosen_settings
from harness.testbed import Testbed
from harness.topology import Family
from testbeds import TESTBEDS, find

BuildTestbed = Callable[..., Testbed]
TESTBEDS_KEY = pytest.StashKey[list[Testbed]]()


@pytest.fixture(scope="session")
def run_directory() -> Iterator[Path]:
    """Where captures go while the run lasts."""
    path = scratch.make("run")
    try:
        yield path
        reap_ending()
    finally:
        scratch.remove(path)


@pytest.fixture(scope="session")
def loaded_programs() -> Iterator[None]:
    """Unloads what the tests left loaded for each other."""
    yield
    unload_idle()


@pytest.fixture
def require_feature(machine: None) -> Callable[[str], None]:
    """A function: skip if this kernel is too old for a feature, fail if it lacks it all the same.

    `require_feature("netdev-egress")`; the features: `harness.datapath.features.FEATURES`.
    """

    def require(name: str) -> None:
        feature, answer = features.find(name), features.probe(name)
        if answer.supported:
            return
        why = f"the kernel lacks {name} (since {feature.since}): {answer.detail}"
        if feature.excused():
            pytest.skip(why)
        pytest.fail(why, pytrace=False)

    return require


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


@pytest.fixture
def build_testbed(
    request: pytest.FixtureRequest, run_log: KernelLog, run_directory: Path, loaded_programs: None
) -> Iterator[BuildTestbed]:
    """A function that builds testbeds: `build_testbed("one_node", datapath, family, …)`.

    Further arguments: `topology` (changes, a dict), `settings`, `features`. Without the last two a
    node that does not run what the test asks for skips the test, or fails it: see `require_bpf`.
    """
    built: list[Testbed] = []
    request.node.stash[TESTBEDS_KEY] = built
    directory = run_directory / directory_of_test(request.node.nodeid, request.node.path)

    def build(
        name: str,
        datapath: Datapath,
        family: Family,
        topology: dict[str, object] | None = None,
        settings: NodeSettings | None = None,
        features: Features | None = None,
    ) -> Testbed:
        described = dataclasses.replace(find(name), **(topology or {}))  # type: ignore[arg-type]
        testbed = Testbed(
            described, datapath, family, directory / str(len(built)),
            settings or chosen_settings(request.config), features,
        )  # fmt: skip
        built.append(testbed)
        if settings is None and features is None:  # else what they come to is the test's business
            require_bpf(testbed)
        return testbed

    with ExitStack() as closing:
        closing.callback(run_log.collect)
        yield build
        for testbed in built:
            closing.callback(testbed.close)


def _testbed_fixture(name: str) -> Callable[..., Testbed]:
    def fixture(request: pytest.FixtureRequest, build_testbed: BuildTestbed) -> Testbed:
        parameters = request.node.callspec.params if hasattr(request.node, "callspec") else {}
        marker = request.node.get_closest_marker("topology")
        return build_testbed(
            name,
            parameters.get("datapath", DATAPATHS["bpf"]),
            parameters.get("family", Family.ipv4),
            dict(marker.kwargs) if marker else {},
        )

    fixture.__doc__ = f"The testbed {name}, with the test's datapath on every node."
    return pytest.fixture(name=name)(fixture)


for _name in TESTBEDS:
    globals()[f"_{_name}"] = _testbed_fixture(_name)


@pytest.fixture
def bypass() -> frozenset[str]:
    """Names of the datapaths that bypass the node's stack."""
    return frozenset(name for name, entry in datapaths.DATAPATHS.items() if entry.host_routing)
