# SPDX-License-Identifier: Apache-2.0
"""Negative controls: what is broken must fail the assertion meant for it, on its own line."""

import dataclasses
import importlib
import inspect
import itertools
import re
from pathlib import Path
from typing import Any

import pytest

from harness import datapath as datapaths
from harness.bpf.source import Patch
from harness.datapath.bpf import InstalledBpf
from harness.plugin.fixtures import BuildTestbed
from harness.topology import Family
from harness.watch.capture import WHOLE
from harness.watch.evidence import KernelLog
from testbeds import TESTBEDS, faults
from testbeds.mutants import MUTANTS

pytestmark = pytest.mark.control


def _test(name):
    module, function = name.split("::")
    return getattr(importlib.import_module("testbeds." + module.replace("/", ".")), function)


def _marks(test, name):
    return {
        key: value
        for mark in getattr(test, "pytestmark", [])
        if mark.name == name
        for key, value in mark.kwargs.items()
    }


def _call(test, request, datapath, family, arguments):
    """Run a test of the suite with a datapath of our choice, as pytest would with its own."""
    build = request.getfixturevalue("build_testbed")
    available = {"datapath": datapath, "family": family, **arguments}
    for name in inspect.signature(test).parameters:
        if name in available:
            continue
        if name in TESTBEDS:
            available[name] = build(name, datapath, family, _marks(test, "topology"))
        else:
            available[name] = request.getfixturevalue(name)
    test(**{name: available[name] for name in inspect.signature(test).parameters})


def _failing_line(test, request, datapath, family, arguments):
    """The statement on which the test fails."""
    with pytest.raises(AssertionError) as failure:
        _call(test, request, datapath, family, arguments)
    file = inspect.getsourcefile(test)
    entries = [entry for entry in failure.traceback if str(entry.path) == file]
    return str(entries[-1].statement)


def _mutated(mutant):
    datapath: Any = datapaths.find(mutant.datapath)
    name = mutant.posing_as or mutant.datapath
    changes = {"patches": mutant.patches} if mutant.patches else {}
    return dataclasses.replace(datapath, name=name, **changes)


CASES = [
    pytest.param(
        mutant, catch, Family(family),
        id="-".join((mutant.name.replace(" ", "_"), catch.test.split("::")[1],
                     *map(str, catch.arguments.values()), Family(family).name)),
    )
    for mutant in MUTANTS
    for catch, family in itertools.product(mutant.catches, (4, 6))
    if family in catch.families
]  # fmt: skip


@pytest.mark.parametrize(("mutant", "catch", "_family"), CASES)
def test_mutant_is_caught(mutant, catch, _family, request):
    line = _failing_line(_test(catch.test), request, _mutated(mutant), _family, catch.arguments)
    assert catch.line in line


def test_there_are_enough_mutants():
    assert len(MUTANTS) >= 25
    assert len({mutant.patches for mutant in MUTANTS}) >= 25


# ---------------------------------------------------------------- faults of the instrument itself


_HELPERS = "one_node/test_helpers::"
_FORGOTTEN = "test_hr20_address_that_the_node_lost_is_looked_up_again"
_CALLED_BUT_LET_GO = Patch("misuse.c", "	return result;", "	return TC_ACT_OK;")
_READDRESSED = Patch(
    "misuse.c",
    "		result = redirect_neigh(",
    "		{ u8 mac[6] = {2}; bpf_skb_store_bytes(skb, 0, mac, 6, 0); }\n"
    "		result = redirect_neigh(",
)
#: Test → (its parameters, the fault of bpf/misuse.c, the line that must notice).
MISUSE: dict[str, tuple[list[dict[str, str]], Patch, str]] = {
    "test_hr39_redirect_peer_misdirected": (
        [{"wrong": wrong} for wrong in ("no-veth", "same-namespace", "no-device")],
        _CALLED_BUT_LET_GO,
        "exchange.lost ==",
    ),
    "test_hr39_redirect_peer_well_directed": (
        [{}],
        Patch("misuse.c", "redirect_peer(call->ifindex", "redirect_peer(call->ifindex + 1"),
        "exchange.lost ==",
    ),
    "test_hr48_helpers_misused": (
        [{"misuse": m} for m in ("peer-unknown-flags", "neigh-unknown-flags", "peer-at-egress")],
        _CALLED_BUT_LET_GO,
        "exchange.lost ==",
    ),
    "test_hr48_what_a_helper_refuses_is_counted": (
        [{"helper": "redirect_peer"}, {"helper": "bpf_redirect"}],
        Patch("count.c", "	if (action != TC_ACT_REDIRECT)\n", "	if (action < 0)\n"),
        'drops == {"redirect": PINGS}',
    ),
    "test_hr48_redirect_neigh_of_a_multicast_frame": (
        [{"destination": "multicast"}],
        Patch("misuse.c", "		result = redirect_neigh(call", _READDRESSED.new + "call"),
        "assert arrived ==",
    ),
    "test_hr48_redirect_neigh_where_the_route_refuses": (
        [{"route": "refusing"}],
        Patch(
            "misuse.c",
            "redirect_neigh(call->ifindex, NULL, 0, call->flags)",
            "bpf_redirect(call->ifindex, 0)",
        ),
        "assert arrived ==",
    ),
}
_MISUSE_CASES = [
    (name, arguments, fault, line)
    for name, (cases, fault, line) in MISUSE.items()
    for arguments in cases
]
# Nothing gets through to a peer that is down; what went elsewhere instead must be seen.
_MISUSE_CASES.append(
    (
        "test_hr39_redirect_peer_misdirected",
        {"wrong": "peer-down"},
        Patch("misuse.c", "redirect_peer(call->ifindex", "redirect_peer(skb->ifindex"),
        "seen.legs() == UNANSWERED",
    )
)


@pytest.mark.parametrize("_family", list(Family), ids=[family.name for family in Family])
@pytest.mark.parametrize(("name", "arguments", "fault", "line"), _MISUSE_CASES)
def test_helper_that_is_not_dropped_is_noticed(
    request, monkeypatch, name, arguments, fault, line, _family
):
    monkeypatch.setattr(faults.HelperCall, "patches", (fault,))
    failing = _failing_line(
        _test(_HELPERS + name), request, datapaths.find("legacy"), _family, arguments
    )
    assert line in failing


def test_sync_that_forgets_nothing_is_noticed(request, monkeypatch):
    exact, known = InstalledBpf._write_endpoints, {}

    def adding(self, endpoints):
        known.update(endpoints)
        exact(self, known)

    monkeypatch.setattr(InstalledBpf, "_write_endpoints", adding)
    test = _test("one_node/test_router_duties::" + _FORGOTTEN)
    line = _failing_line(test, request, datapaths.find("bpf"), Family.ipv4, {})
    assert 'lookups == [{}, {"not-fwded": 1}]' in line


def test_requirement_of_a_helper_that_is_not_called_is_noticed(request, monkeypatch):
    greedy: Any = datapaths.DATAPATHS["bpf-redirect"]
    greedy = dataclasses.replace(greedy, needs=greedy.needs | {"redirect_peer"})
    monkeypatch.setitem(datapaths.DATAPATHS, "bpf-redirect", greedy)
    test = _test(
        "one_node/test_decision::test_hr06_a_helper_a_datapath_does_not_call_is_no_requirement"
    )
    line = _failing_line(test, request, greedy, Family.ipv4, {})
    assert "Host Routing: BPF" in line


def test_decision_that_ignores_a_requirement_is_noticed(request, monkeypatch):
    def always_bpf(needs, settings, features):
        decision = datapaths.requirements.decide(needs, settings, features)
        met = [dataclasses.replace(check, met=True) for check in decision.checks]
        return datapaths.Decision(tuple(met))

    monkeypatch.setattr(datapaths, "decide", always_bpf)
    test = _test("one_node/test_decision::test_hr06_unmet_requirement_means_legacy")
    line = _failing_line(
        test, request, datapaths.find("bpf"), Family.ipv4, {"requirement": "routing"}
    )
    assert "if not check.met]" in line


def test_kernel_splat_is_noticed(request, tmp_path):
    path = tmp_path / "kmsg"
    path.write_text("")
    log = KernelLog(str(path))
    with path.open("a") as file:
        file.write("4,811,5136,-;WARNING: CPU: 0 PID: 7 at net/core/filter.c:2449\n")
    test = _test("test_kernel_log::test_hr44_no_kernel_splat_during_the_run")
    line = _failing_line(test, request, None, None, {"run_log": log})
    log.close()
    assert "run_log.splats() == []" in line


def test_capture_that_lost_packets_is_refused(request, monkeypatch, build_testbed: BuildTestbed):
    """A ring of 8 frames and a tcpdump that is stopped meanwhile: the kernel drops, and says so."""
    import signal

    from harness.plumbing.errors import CaptureError

    testbed = build_testbed("one_node", datapaths.find("bpf"), Family.ipv4)

    def flood():
        with testbed.capture(WHOLE):
            stopped = testbed._captures[0]._dumps
            for dump in stopped:
                dump._process.send_signal(signal.SIGSTOP)
            testbed.pod1.ping(testbed.pod2, 2000)
            for dump in stopped:
                dump._process.send_signal(signal.SIGCONT)

    with pytest.raises(CaptureError, match=r"lost \d+ of \d+ packets"):
        flood()


def test_every_assertion_has_a_control():
    """A test of the catalogue that no mutant and no control here makes fail does not count."""
    caught = {catch.test for mutant in MUTANTS for catch in mutant.catches}
    caught |= {_HELPERS + name for name in MISUSE}
    caught |= {
        "one_node/test_router_duties::" + _FORGOTTEN,
        "one_node/test_decision::test_hr06_unmet_requirement_means_legacy",
        "one_node/test_decision::test_hr06_a_helper_a_datapath_does_not_call_is_no_requirement",
    }
    here = Path(__file__).parent
    missing = [
        f"{path.parent.name}/{path.stem}::{name}"
        for path in sorted(here.glob("*_node/test_*.py"))
        if "_bench_" not in path.stem and "_slow_" not in path.stem
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)
        if f"{path.parent.name}/{path.stem}::{name}" not in caught
    ]
    assert missing == []
