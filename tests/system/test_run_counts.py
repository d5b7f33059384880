# SPDX-License-Identifier: Apache-2.0
"""Run counts: which programs ran for the packets that entered, whoever loaded them, and where."""

import os
from contextlib import closing, suppress
from pathlib import Path

import pytest

from harness.attach import all_attachments, detach_all
from harness.bench import Campaign
from harness.bpf.run_time import measuring
from harness.datapath import DATAPATHS
from harness.plumbing.errors import HarnessError
from harness.testbed import Testbed
from harness.topology import TESTBEDS
from harness.watch.evidence import Place, run_counts
from harness.watch.evidence.run_counts import RunCounts
from testbeds.measuring import ROUND_TRIP, arm, task
from tests.support import foreign

pytestmark = pytest.mark.usefixtures("hr_machine", "hr_programs")
PINGS = 5
ARP = 0x0806  # ETH_P_ARP, the protocol of a filter that no IP packet comes to


@pytest.fixture
def bed(family):
    """A function that builds a testbed."""
    built = []

    def build(name="one_node", datapath="bpf"):
        found = DATAPATHS[datapath] if datapath else None
        built.append(Testbed(TESTBEDS.find(name).topology, found, family, name=name))
        return built[-1]

    yield build
    for testbed in built:
        testbed.close()


def lxcs(*numbers, node="master"):
    return tuple(Place(node, f"lxc{number}") for number in numbers)


def counted(testbed, count=PINGS):
    with testbed.run_counts() as runs:
        testbed.pod1.ping(testbed.pod2, count)
    return runs


ENTERED = {"master:lxc1": PINGS, "master:lxc2": PINGS}


def test_a_program_on_two_devices_has_the_runs_of_both(bed):
    runs = counted(bed())
    (ran,) = runs.programs
    assert (ran.program, ran.runs, ran.places) == ("from_container", 2 * PINGS, lxcs(1, 2))
    assert runs.at("master", "lxc1") == runs.at("master", "lxc2") == [ran]
    assert runs.at("master", "lxc1", "egress") == []
    assert runs.unmatched(ENTERED) == []
    assert runs.unmatched(dict.fromkeys(lxcs(1, 2), PINGS)) == []
    assert runs.came == runs.went == []


def test_every_program_on_two_nodes_runs_for_every_packet(bed):
    runs = counted(bed("two_node"))
    assert sorted((ran.program, *map(str, ran.places), ran.runs) for ran in runs.programs) == [
        ("from_container", "master:lxc1", PINGS),
        ("from_container", "node1:lxc2", PINGS),
        ("from_netdev", "master:enp0s8", PINGS),
        ("from_netdev", "node1:enp0s8", PINGS),
        ("to_netdev", "master:enp0s8 egress", PINGS),
        ("to_netdev", "node1:enp0s8 egress", PINGS),
    ]
    assert runs.unmatched({"master:lxc1": PINGS, "node1:lxc2": PINGS}) == []


def test_without_programs_nothing_is_listed_and_nothing_proven(bed):
    runs = counted(bed(datapath="legacy"))
    assert runs.programs == []
    assert runs.unmatched(ENTERED) == [
        "master:lxc1: no program attached", "master:lxc2: no program attached",
    ]  # fmt: skip


def test_a_device_without_its_program_is_found(bed):
    testbed = bed()
    master = testbed.network.nodes[0]
    detach_all(master.ns, master.ifindex("lxc2"))
    runs = counted(testbed)
    assert runs.unmatched(ENTERED) == ["master:lxc2: no program attached"]
    assert runs.unmatched(ENTERED | {"master:lxc2": 0}) == ["master:lxc2: no program attached"]


def test_a_program_that_is_attached_and_does_not_run_is_found(bed):
    testbed = bed(datapath="legacy")
    with foreign.attached(testbed.master.host, "lxc1", foreign.OK, protocol=ARP):
        runs = counted(testbed)
    assert runs.unmatched({"master:lxc1": PINGS}) == [
        f"master:lxc1: {foreign.NAME} ran 0 times, {PINGS} packets entered"
    ]
    assert runs.unmatched({"master:lxc1": 0}) == []


def test_one_packet_that_a_shared_program_did_not_see_is_found_at_both_devices(bed):
    found = counted(bed()).unmatched(ENTERED | {"master:lxc1": PINGS + 1})
    told = "from_container ran 10 times, 11 packets entered at master:lxc1, master:lxc2"
    assert found == [f"master:lxc1: {told}", f"master:lxc2: {told}"]


def test_what_a_shared_program_did_elsewhere_proves_nothing_here(bed):
    """It ran for 10 packets; whether any of them entered lxc1 nobody said."""
    assert counted(bed()).unmatched({"master:lxc1": PINGS}) == [
        "master:lxc1: from_container ran 10 times, 5 packets entered at master:lxc1, master:lxc2,"
        " and what came to master:lxc2 is not known"
    ]


def test_a_program_of_somebody_else_is_found_and_counted(bed):
    testbed = bed(datapath="legacy")
    with foreign.attached(testbed.master.host, "lxc1", foreign.NEXT):
        runs = counted(testbed)
    (ran,) = runs.programs
    assert (ran.program, ran.runs, ran.places) == (foreign.NAME, PINGS, lxcs(1))
    assert len(ran.tag) == 16
    assert runs.unmatched(ENTERED) == ["master:lxc2: no program attached"]


def test_one_of_several_programs_that_runs_for_every_packet_is_enough(bed):
    testbed = bed()
    with foreign.attached(testbed.master.host, "lxc1", foreign.NEXT, protocol=ARP):
        runs = counted(testbed)
    assert [ran.program for ran in runs.at("master", "lxc1")] == [foreign.NAME, "from_container"]
    assert runs.unmatched(ENTERED) == []


def test_tail_calls_count_in_the_program_that_was_entered(bed):
    testbed = bed(datapath="legacy")
    with foreign.tail_calling(foreign.OK) as fd:
        foreign.attach(testbed.master.host, "lxc1", fd)
        with testbed.run_counts() as runs:
            assert not testbed.pod1.ping(testbed.pod2, PINGS).lost  # else it returns SHOT
    assert [(ran.runs, ran.places) for ran in runs.programs] == [(PINGS, lxcs(1))]


def test_programs_that_came_and_went_are_told(bed):
    testbed = bed()
    master = testbed.network.nodes[0]
    with testbed.run_counts() as runs:
        testbed.pod1.ping(testbed.pod2, PINGS)
        detach_all(master.ns, master.ifindex("lxc2"))
        with foreign.attached(master, "lxc2", foreign.NEXT):
            testbed.pod1.ping(testbed.pod2, PINGS)
    (stayed,), (came,), (went,) = runs.programs, runs.came, runs.went
    assert (stayed.program, stayed.places) == ("from_container", lxcs(1))
    assert (went.program, went.places, went.id) == ("from_container", lxcs(2), stayed.id)
    assert went.runs == stayed.runs == 3 * PINGS
    assert (came.program, came.places, came.runs) == (foreign.NAME, lxcs(2), PINGS)
    told = (
        "from_container ran 15 times, 10 packets entered, and what came to master:lxc2 is not known"
    )
    assert runs.unmatched({"master:lxc1": 2 * PINGS, "master:lxc2": PINGS}) == [
        f"master:lxc1: {told}",
        f"master:lxc2: no program attached; {foreign.NAME} came meanwhile; from_container went"
        " meanwhile",
    ]


def test_what_a_program_that_is_unloaded_did_is_not_lost(bed):
    testbed = bed(datapath="legacy")
    master = testbed.network.nodes[0]
    with foreign.attached(master, "lxc1", foreign.NEXT), testbed.run_counts() as runs:
        testbed.pod1.ping(testbed.pod2, PINGS)
        detach_all(master.ns, master.ifindex("lxc1"))
    assert [(ran.program, ran.runs, ran.places) for ran in runs.went] == [
        (foreign.NAME, PINGS, lxcs(1))
    ]


def test_programs_by_tcx_and_xdp_are_found_in_the_kernel_s_order(bed, require_feature):
    require_feature("tcx")
    testbed = bed()
    master = testbed.master.host
    fd = foreign.returning(foreign.XDP_PASS, foreign.XDP)
    try:
        master.ns.netlink.link("set", index=master.ifindex("lxc1"), xdp_fd=fd)
        with foreign.tcx(master, "lxc1", foreign.NEXT):
            names = [entry.program for entry in all_attachments(master.ns, "lxc1")]
            runs = counted(testbed)
    finally:
        os.close(fd)
    assert names == [foreign.NAME, foreign.NAME, "from_container"]
    found = runs.at("master", "lxc1")
    assert [(ran.program, ran.runs) for ran in found] == [
        (foreign.NAME, PINGS), (foreign.NAME, PINGS), ("from_container", 2 * PINGS),
    ]  # fmt: skip
    assert found[0].id != found[1].id


def test_counting_is_refused_while_something_is_measured(bed):
    testbed = bed()
    with measuring("a campaign"):
        said = (
            r"runs cannot be counted while a campaign is measured: .*: call run_counts\(\) before"
        )
        with pytest.raises(HarnessError, match=said), testbed.run_counts():
            pass
    assert counted(testbed).unmatched(ENTERED) == []


def test_measuring_is_refused_while_runs_are_counted(bed, family):
    arms = {name: arm(name, "one_node") for name in ("legacy", "bpf")}
    campaign = Campaign("one_node", arms, [task(ROUND_TRIP, family)], 1)
    said = "a campaign cannot be measured while .* counted: .*: leave the block"
    with bed().run_counts(), pytest.raises(HarnessError, match=said):
        campaign.run()
    assert campaign.comparisons == []


def test_a_campaign_counts_as_measuring(bed, family):
    testbed = bed()
    refused = []

    class Counting:
        """Who wants to count in the middle of it."""

        def step(self, *_):
            with pytest.raises(HarnessError, match="while a campaign is measured"):
                testbed.run_counts().__enter__()
            refused.append(1)
            raise KeyboardInterrupt

        finished = step

    arms = {name: arm(name, "one_node") for name in ("legacy", "bpf")}
    campaign = Campaign("one_node", arms, [task(ROUND_TRIP, family)], 1, watcher=Counting())
    with pytest.raises(KeyboardInterrupt):
        campaign.run()
    assert refused


def descriptors():
    """What this process holds of bpf(2)."""
    links = (path for path in Path("/proc/self/fd").iterdir() if path.is_symlink())
    return sorted(name for path in links if "bpf" in (name := str(path.readlink())))


def held_by_a_block_that_fails(testbed):
    held = []
    with suppress(LookupError), testbed.run_counts():
        held += descriptors()
        raise LookupError
    return held


def test_statistics_and_programs_are_let_go_of_whatever_happens(bed, monkeypatch):
    testbed = bed()
    counted(testbed)
    before = descriptors()
    added = ["anon_inode:bpf-prog", "anon_inode:bpf-stats"]
    assert held_by_a_block_that_fails(testbed) == sorted([*before, *added])
    assert descriptors() == before
    calls = []

    def failing(place):
        def fail(*_):
            calls.append(place)
            raise OSError(5, "Input/output error")

        return fail

    for name, target in (
        ("all_attachments", run_counts), ("loaded_program", run_counts), ("_runs", RunCounts),
    ):  # fmt: skip
        with monkeypatch.context() as patched:
            patched.setattr(target, name, failing(name))
            with pytest.raises(OSError, match="Input/output"), testbed.run_counts():
                pass
        assert descriptors() == before
    assert calls == ["all_attachments", "loaded_program", "_runs"]


def test_nothing_is_said_before_the_block_ends(bed):
    testbed = bed()
    with testbed.run_counts() as runs:
        for ask in (lambda: runs.programs, lambda: runs.unmatched(ENTERED)):
            with pytest.raises(RuntimeError, match="leave the `with` block first"):
                ask()


def test_blocks_may_be_nested(bed):
    testbed = bed()
    with testbed.run_counts() as outer:
        inner = counted(testbed)
        testbed.pod1.ping(testbed.pod2, PINGS)
    assert [ran.runs for ran in inner.programs] == [2 * PINGS]
    assert [ran.runs for ran in outer.programs] == [4 * PINGS]


def test_a_device_that_is_deleted_meanwhile_is_told(bed):
    testbed = bed("two_node")
    master = testbed.network.nodes[0]
    with closing(testbed), testbed.run_counts() as runs:
        master.ns.netlink.link("del", index=master.ifindex("lxc1"))
    assert [(ran.program, *map(str, ran.places)) for ran in runs.went] == [
        ("from_container", "master:lxc1")
    ]
