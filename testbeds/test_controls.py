# SPDX-License-Identifier: Apache-2.0
"""Negative controls: what is broken must fail the assertion meant for it, and no other."""

import contextlib
import dataclasses
import itertools
import os
import signal
from typing import Any

import pytest
from pyroute2 import NFCTSocket

from harness import datapath as datapaths
from harness.attach import EGRESS, INGRESS, Placed, bpf_link, netkit
from harness.datapath import legacy
from harness.datapath.bpf_flows import FlowMaps
from harness.datapath.bpf_maps import NodeMaps
from harness.datapath.bpf_services import ServiceMaps
from harness.datapath.kube_proxy import RuleSet, node_rules
from harness.plugin.building import BuildTestbed
from harness.plumbing.errors import CaptureError
from harness.topology import Family, Host, Node
from harness.watch.capture import WHOLE
from harness.watch.evidence import KernelLog
from testbeds import faults
from testbeds.controls import failed_assertion, find_test
from testbeds.mutants import MUTANTS, instrument, mutated

pytestmark = pytest.mark.control


def _cases(mutants):
    return [
        pytest.param(
            mutant, catch, Family(family),
            id="-".join((mutant.name.replace(" ", "_"), catch.test.split("::")[1],
                         *map(str, catch.arguments.values()), Family(family).name)),
            marks=pytest.mark.brief(f"{mutant.name}: {catch.test}"),
        )
        for mutant in mutants
        for catch, family in itertools.product(mutant.catches, (4, 6))
        if family in catch.families
    ]  # fmt: skip


@pytest.mark.parametrize(("mutant", "catch", "_family"), _cases(MUTANTS))
def test_mutant_is_caught(mutant, catch, _family, request):
    found = failed_assertion(
        request, find_test(catch), mutated(mutant), _family, catch.arguments
    )  # fmt: skip
    assert found == catch.assertion


def test_there_are_enough_mutants():
    assert len(MUTANTS) >= 25
    assert len({mutant.patches for mutant in MUTANTS}) >= 25


# ---------------------------------------------------------------- faults of the instrument itself


@pytest.mark.parametrize(("fault", "catch", "_family"), _cases(instrument.MISUSE))
def test_helper_that_is_not_dropped_is_noticed(request, monkeypatch, fault, catch, _family):
    monkeypatch.setattr(faults.HelperCall, "patches", fault.patches)
    beside = datapaths.find(fault.datapath)
    found = failed_assertion(request, find_test(catch), beside, _family, catch.arguments)
    assert found == catch.assertion


def _noticed(request, catch, datapath):
    test = find_test(catch)
    found = failed_assertion(request, test, datapath, Family.ipv4, catch.arguments)
    return found == catch.assertion


def test_program_on_a_netkit_pairs_wrong_end_is_noticed(request, monkeypatch):
    exchanged = {INGRESS: netkit._TYPES[EGRESS], EGRESS: netkit._TYPES[INGRESS]}
    monkeypatch.setattr(netkit, "_TYPES", exchanged)
    assert _noticed(request, instrument.WRONG_END, datapaths.find("bpf-netkit"))


def test_verdict_that_is_known_is_noticed(request, monkeypatch):
    monkeypatch.setattr(faults, "UNKNOWN_VERDICT", faults.TC_ACT_OK)
    assert _noticed(request, instrument.KNOWN_VERDICT, datapaths.find("legacy"))


def test_netkit_pair_that_was_told_no_scrub_is_noticed(request, monkeypatch):
    exact = Host.add_netkit

    def without(self, *arguments):
        exact(self, *arguments[:-1])

    monkeypatch.setattr(Host, "add_netkit", without)
    assert _noticed(request, instrument.NO_SCRUB, datapaths.find("legacy"))


def test_sync_that_forgets_nothing_is_noticed(request, monkeypatch):
    exact = NodeMaps._endpoints
    known: dict[Family, Any] = {}

    def adding(self):
        for family, rows in exact(self).items():
            known[family] = known.get(family, {}) | rows
        return known

    monkeypatch.setattr(NodeMaps, "_endpoints", adding)
    assert _noticed(request, instrument.SYNC_THAT_FORGETS_NOTHING, datapaths.find("bpf"))


def test_agent_that_keeps_flows_to_backends_that_are_gone_is_noticed(request, monkeypatch):
    monkeypatch.setattr(FlowMaps, "forget_backends", lambda *_: None)
    assert _noticed(request, instrument.NOT_FORGOTTEN, datapaths.find("bpf"))


def test_agent_that_lets_clients_keep_backends_that_are_gone_is_noticed(request, monkeypatch):
    monkeypatch.setattr(ServiceMaps, "_forget_kept", lambda *_: None)
    assert _noticed(request, instrument.KEPT_BACKENDS, datapaths.find("bpf"))


#: What `sync` does → where.
_DONE = {
    "maps": (NodeMaps, "write"), "hooks": (Placed, "make"), "gateway": (Node, "hold_gateway"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("datapath", "done", "catch"), instrument.NOT_SYNCED,
    ids=lambda value: getattr(value, "test", value).split("::")[-1],
)  # fmt: skip
def test_sync_that_does_its_work_once_is_noticed(request, monkeypatch, datapath, done, catch):
    kind, method = _DONE[done]
    exact = getattr(kind, method)
    seen: list[Any] = []

    def once(self, *arguments):
        if self not in seen:
            seen.append(self)
            exact(self, *arguments)

    monkeypatch.setattr(kind, method, once)
    assert _noticed(request, catch, datapaths.find(datapath))


def test_program_where_it_was_not_is_noticed(request, monkeypatch):
    exact = Placed.make
    seen: list[Placed] = []

    def more(self, wanted):
        places = list(wanted)
        if self in seen:
            places.append(dataclasses.replace(places[0], direction=EGRESS))
        seen.append(self)
        exact(self, places)

    monkeypatch.setattr(Placed, "make", more)
    assert _noticed(request, instrument.ONE_TOO_MANY, datapaths.find("bpf"))


def test_requirement_of_a_helper_that_is_not_called_is_noticed(request, monkeypatch):
    greedy: Any = datapaths.DATAPATHS["bpf-redirect"]
    greedy = dataclasses.replace(greedy, needs=greedy.needs | {"redirect_peer"})
    monkeypatch.setitem(datapaths.DATAPATHS, "bpf-redirect", greedy)
    assert _noticed(request, instrument.REQUIREMENT_NOT_CALLED, greedy)


def test_decision_that_ignores_a_requirement_is_noticed(request, monkeypatch):
    def always_bpf(*asked):
        decision = datapaths.requirements.decide(*asked)
        met = [dataclasses.replace(check, met=True) for check in decision.checks]
        return datapaths.Decision(tuple(met))

    monkeypatch.setattr(datapaths, "decide", always_bpf)
    assert _noticed(request, instrument.REQUIREMENT_IGNORED, datapaths.find("bpf"))


@pytest.mark.parametrize("catch", instrument.NOT_FIRST, ids=lambda catch: catch.test.split("::")[1])
def test_probe_behind_the_datapaths_programs_is_noticed(
    request, monkeypatch, require_feature, catch
):
    require_feature("tcx")
    monkeypatch.setattr(bpf_link, "_BEFORE", 0)
    assert _noticed(request, catch, datapaths.find("bpf-tcx"))


def test_probe_that_is_not_detached_is_noticed(request, monkeypatch, require_feature):
    require_feature("tcx")
    held: list[int] = []
    monkeypatch.setattr(bpf_link, "_detach", held.append)
    try:
        assert _noticed(request, instrument.NOT_DETACHED, datapaths.find("bpf-tcx"))
    finally:
        for link in held:
            os.close(link)


def _legacy_rules(monkeypatch, changed):
    """The legacy path gets other rules than a node has."""

    def rules(family, services, *others):
        return RuleSet(family, changed(node_rules(family, services, *others)))

    monkeypatch.setattr("harness.datapath.legacy.node_rules", rules)


def _on_legacy(catches):
    return pytest.mark.parametrize(
        ("catch", "which"),
        [
            pytest.param(catch, which, id=f"{catch.assertion}-{number}-{which.name}")
            for number, catch in enumerate(catches)
            for which in Family
        ],
    )


def _legacy_noticed(request, catch, which):
    arguments = (datapaths.find("legacy"), which, catch.arguments)
    return failed_assertion(request, find_test(catch), *arguments) == catch.assertion


@_on_legacy(instrument.NO_RULES)
def test_legacy_path_without_a_familys_rules_is_noticed(request, monkeypatch, catch, which):
    _legacy_rules(monkeypatch, lambda exact: "" if exact.family is which else exact.text)
    assert _legacy_noticed(request, catch, which)


@_on_legacy((instrument.NO_SERVICES,))
def test_legacy_path_without_services_is_noticed(request, monkeypatch, catch, which):
    _legacy_rules(monkeypatch, lambda exact: node_rules(exact.family, 0).text)
    assert _legacy_noticed(request, catch, which)


@_on_legacy(instrument.INVALID_PASSES)
def test_legacy_path_that_accepts_what_is_invalid_is_noticed(request, monkeypatch, catch, which):
    _legacy_rules(monkeypatch, lambda exact: exact.text.replace("INVALID -j DROP", "INVALID"))
    assert _legacy_noticed(request, catch, which)


def _noticed_in_both(request, catch):
    found = [
        failed_assertion(request, find_test(catch), datapaths.find("legacy"), each, catch.arguments)
        for each in Family
    ]
    return set(found) == {catch.assertion}


@pytest.mark.parametrize(
    "catch", instrument.NOT_SERVED, ids=lambda catch: catch.test.split("::")[1]
)
def test_services_that_do_not_change_are_noticed(request, monkeypatch, catch):
    monkeypatch.setattr(legacy.InstalledLegacy, "serve", lambda _self, _services: None)
    assert _noticed_in_both(request, catch)


def test_flows_that_are_not_forgotten_are_noticed(request, monkeypatch):
    monkeypatch.setattr(legacy, "forget", lambda _ns, _backends: None)
    assert _noticed_in_both(request, instrument.NOT_FORGOTTEN)


def test_connections_that_are_forgotten_are_noticed(request, monkeypatch):
    def forget_all(ns, _backends):
        for family in Family:
            with ns, contextlib.closing(NFCTSocket(nfgen_family=family.af)) as channel:
                channel.flush()

    monkeypatch.setattr(legacy, "forget", forget_all)
    assert _noticed_in_both(request, instrument.ALL_FORGOTTEN)


def test_kernel_splat_is_noticed(request, tmp_path):
    path = tmp_path / "kmsg"
    path.write_text("")
    log = KernelLog(str(path), device=None)
    with path.open("a") as file:
        file.write("4,811,5136,-;WARNING: CPU: 0 PID: 7 at net/core/filter.c:2449\n")
    found = failed_assertion(request, find_test(instrument.SPLAT), None, None, {"hr_run_log": log})
    log.close()
    assert found == instrument.SPLAT.assertion


def test_capture_that_lost_packets_is_refused(request, monkeypatch, build_testbed: BuildTestbed):
    """A ring of 8 frames and a tcpdump that is stopped meanwhile: the kernel drops, and says so."""
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
