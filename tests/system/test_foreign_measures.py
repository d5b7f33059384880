# SPDX-License-Identifier: Apache-2.0
"""Measures go by what the kernel lists and what programs do, never by whose datapath it is."""

import os
import struct
from contextlib import ExitStack
from statistics import median

import pytest

from harness import results
from harness.attach import detach_all
from harness.bench import MEASURES, Campaign, Session
from harness.bpf import syscall
from harness.bpf.syscall import EXIT, instruction
from harness.cli.results_show import show_lines
from harness.datapath import DATAPATHS, NodeSettings
from harness.kernels.instructions import PROGRAM, ROUND_TRIP, measure
from harness.plumbing.errors import InapplicableError
from harness.report import FORMATS, Report, digest
from harness.results import read
from harness.testbed.programs import hook_of
from harness.topology import TESTBEDS, Family
from harness.traffic.headers import udp_frame
from testbeds.measuring import ROUND_TRIP as TRIP
from testbeds.measuring import arm, task
from tests.support import foreign_programs as foreign

pytestmark = [pytest.mark.control, pytest.mark.usefixtures("hr_machine", "hr_programs")]
PROGRAMS = ("program-cost", "program-run-time")
THEIRS, BARE = "somebody-s", "empty-handed"


@pytest.fixture(autouse=True)
def _others(monkeypatch):
    """A datapath of somebody else, and one that claims host routing and has no program."""
    monkeypatch.setitem(DATAPATHS, THEIRS, foreign.Disguised(THEIRS))
    monkeypatch.setitem(DATAPATHS, BARE, foreign.Disguised(BARE, installs="legacy"))


@pytest.fixture
def built():
    """A function that builds a testbed."""
    testbeds = []

    def build(datapath, testbed="one_node"):
        testbeds.append(arm(datapath, testbed).build())
        return testbeds[-1]

    yield build
    for testbed in testbeds:
        testbed.close()


def value(testbed, key, family, turns=5):
    with MEASURES[key].opened(testbed, family) as turn:
        found = [turn() for _ in range(turns)]
    return median(MEASURES[key].value(each) for each in found), found[-1].extra


def least(testbeds, key, family, turns=15):
    """The least time of each, measured in turns: what else the machine does can only add to it."""
    with ExitStack() as opened:
        measures = [
            opened.enter_context(MEASURES[key].opened(testbed, family)) for testbed in testbeds
        ]
        found = [[turn() for turn in measures] for _ in range(turns)]
    times = [min(MEASURES[key].value(each) for each in row) for row in zip(*found, strict=True)]
    return times, [each.extra for each in found[-1]]


@pytest.mark.parametrize("name", ["one_node", "two_node"])
@pytest.mark.parametrize("key", PROGRAMS)
def test_somebody_else_s_datapath_is_measured_like_the_bundled_one(built, key, name, family):
    """The same programs, so about the same; it is told apart from one program less than all."""
    testbeds = [built(datapath, name) for datapath in ("bpf", THEIRS)]
    (ours, theirs), (extra, also) = least(testbeds, key, family)
    assert extra == also
    assert 0.7 < theirs / ours < 1.4


@pytest.mark.parametrize("name", ["one_node", "two_node"])
def test_it_is_compared_and_its_record_says_nothing_of_a_fault(name, family):
    arms = {datapath: arm(datapath, name) for datapath in ("legacy", THEIRS)}
    tasks = [task(key, family) for key in PROGRAMS]
    for found in Campaign(name, arms, tasks, 1, with_limit=False).run():
        assert found.partial is None, found
        assert found.arms[THEIRS].measured
        assert found.inapplicable == {"legacy": "it does not claim what is measured"}


def test_the_exact_figures_are_taken_of_it():
    said = []
    topology = TESTBEDS.find("one_node").topology
    for datapath in ("bpf", THEIRS, "legacy", BARE):
        figures = measure(
            DATAPATHS.find(datapath), "one_node", topology, NodeSettings(), said.append
        )
        wanted = [ROUND_TRIP, PROGRAM] if datapath in ("bpf", THEIRS) else [ROUND_TRIP]
        assert [figure.figure for figure in figures] == wanted * 2
    why = "does not apply: no program attached at master:lxc1 ingress"
    assert said == [
        f"program cost one_node {family.name} {datapath}: {why}"
        for datapath in ("legacy", BARE)
        for family in Family
    ]


def test_a_datapath_without_programs_is_no_fault_and_stands_in_record_and_report(
    family, tmp_path
):  # fmt: skip
    """It claims what it has not: that is for a test to find, not for a measure."""
    arms = {datapath: arm(datapath, "one_node") for datapath in ("legacy", BARE, "bpf")}
    tasks = [*(task(key, family) for key in PROGRAMS), task(TRIP, family)]
    session, draft = Session(1), results.begin(tmp_path, ["pytest"])
    session.comparisons = Campaign("one_node", arms, tasks, 1, with_limit=False).run()
    found = {each.measure: each for each in session.comparisons}
    why = "no program attached at master:lxc1 ingress"
    for key in PROGRAMS:
        assert found[key].partial is None
        assert found[key].inapplicable == {
            "legacy": "it does not claim what is measured", BARE: why,
        }  # fmt: skip
        assert found[key].baseline == "bpf"
    assert found[TRIP].inapplicable == {}
    session.enter(draft)
    run = read(results.write(tmp_path, draft.ended()))
    assert {e.measure: e.inapplicable for e in run.comparisons if e.inapplicable}.keys() == set(
        PROGRAMS
    )
    told = f"does not apply to {BARE}: {why}"
    assert sum(told in line for line in show_lines(run)) == len(PROGRAMS)
    page, table = (FORMATS[kind](Report((digest(run),))) for kind in ("html", "md"))
    assert told in page
    assert table.count(f"does not apply: {why}") == len(PROGRAMS)


def frame_of(testbed, family):
    client, server = testbed.network.pods[0], testbed.network.pods[-1]
    addresses = client.addresses[family], server.addresses[family]
    return udp_frame(family, (client.mac, client.lxc_mac), addresses, 64, 255)


def test_of_several_programs_the_first_that_redirects_is_measured(built, family):
    testbed = built("bpf")
    master, hook = testbed.master.host, hook_of(testbed.pod1.host, frame_of(testbed, family))
    with hook.redirecting() as program:
        ours = program.id
    with (
        foreign.attached(master, "lxc1", foreign.NEXT, prio=1),
        foreign.attached(master, "lxc1", foreign.SHOT, prio=20),
        hook.redirecting() as program,
    ):
        assert (program.name, program.id) == ("from_container", ours)
        assert value(testbed, "program-run-time", family, 1)[1] == {"runs_per_packet": 1.5}
    with foreign.attached(master, "lxc1", foreign.REDIRECT, prio=2), hook.redirecting() as program:
        assert program.name == foreign.NAME


def test_programs_that_do_not_redirect_do_not_count_and_it_is_said_what_they_did(built, family):
    testbed = built("legacy")
    master = testbed.master.host
    said = (
        r"^no program at master:lxc1 ingress redirects the test packet"
        rf" \({foreign.NAME} returned -1, {foreign.NAME} returned 0\)$"
    )
    with (
        foreign.attached(master, "lxc1", foreign.NEXT, prio=1),
        foreign.attached(master, "lxc1", foreign.OK, prio=2),
        pytest.raises(InapplicableError, match=said),
        MEASURES["program-cost"].opened(testbed, family),
    ):
        pass


def test_programs_that_are_attached_and_do_not_run_have_no_run_time(built, family):
    testbed = built("legacy")
    with (
        foreign.attached(testbed.master.host, "lxc1", foreign.NEXT, protocol=0x0806),
        pytest.raises(InapplicableError, match="at master:lxc1 ingress ran 0 times for 300 packet"),
        MEASURES["program-run-time"].opened(testbed, family),
    ):
        pass


def test_a_program_that_drops_further_on_is_told(built, family):
    testbed = built("bpf", "two_node")
    node1 = testbed.network.nodes[1]
    detach_all(node1.ns, node1.ifindex("enp0s8"))
    with MEASURES["program-cost"].opened(testbed, family) as turn:
        assert turn()  # nothing there to pay for
    said = rf"no program at node1:enp0s8 ingress .* \({foreign.NAME} returned 2\)"
    with (
        foreign.attached(node1, "enp0s8", foreign.SHOT),
        pytest.raises(InapplicableError, match=said),
        MEASURES["program-cost"].opened(testbed, family),
    ):
        pass


@pytest.fixture
def reading_origin():
    """A program that returns the ingress_ifindex that it sees (struct __sk_buff, offset 36)."""
    load = instruction(0x61, dst=0, src=1, off=36)  # BPF_LDX | BPF_MEM | BPF_W
    fd = syscall.load_program(syscall.PROG_TYPE_SCHED_CLS, load + instruction(EXIT))
    yield fd
    os.close(fd)


def test_a_program_sees_by_which_device_the_packet_came(built, family, reading_origin):
    testbed = built("legacy")
    master = testbed.master.host
    foreign.attach(master, "lxc1", reading_origin)
    hook = hook_of(testbed.pod1.host, frame_of(testbed, family))
    with hook.programs() as (program,):
        assert hook.run(program).action in (master.ifindex("lxc1"), 0)
    if os.uname().release.startswith(("5.10.", "5.15.")):
        return  # they refuse it
    with hook.programs() as (program,):
        assert hook.run(program).action == master.ifindex("lxc1")


def test_where_the_kernel_takes_no_ingress_ifindex_it_is_left_out(reading_origin, monkeypatch):
    """As 5.10 does, which this stands for."""
    ask, tried = syscall._bpf, []

    def refusing(command, attr):
        if command == syscall._PROG_TEST_RUN:
            size, address = (
                struct.unpack_from("=I", attr, 40)[0],
                struct.unpack_from("=Q", attr, 48),
            )
            origin = struct.unpack_from("=I", syscall.ctypes.string_at(*address, size), 36)[0]
            tried.append(origin)
            if origin:
                raise OSError(22, "Invalid argument")
        return ask(command, attr)

    monkeypatch.setattr(syscall, "_bpf", refusing)
    assert syscall.test_run(reading_origin, bytes(64), 1, 1, 1).action == 0
    assert tried == [1, 0]
    with pytest.raises(OSError, match="Invalid argument"):
        syscall.test_run(reading_origin, bytes(5), 1, 1, 1)
