# SPDX-License-Identifier: Apache-2.0
"""Attachments on real devices: where they are, in which order, and what is refused in one line."""

import errno
import os
import signal

import pytest

from harness.attach import EGRESS, HOOKS, INGRESS, all_attachments, attach_first, bpf_link
from harness.datapath import DATAPATHS
from harness.plumbing.errors import KernelError
from harness.testbed import Testbed
from harness.topology import TESTBEDS, Family
from testbeds.conftest import helper_call, metadata  # noqa: F401 - fixtures
from testbeds.controls import call_test, find_test
from testbeds.faults import TC_ACT_UNSPEC, program_returning
from testbeds.mutants.mutant import Catch
from tests.support import foreign_programs as foreign
from tests.support.beside import BOTH, PRIORITY_ONE

pytestmark = pytest.mark.usefixtures("hr_machine")
BY_HOOK = ["clsact", "tcx"]


@pytest.fixture
def bed():
    with Testbed(TESTBEDS.find("one_node").topology, None) as testbed:
        yield testbed


@pytest.fixture
def node(bed):
    return bed.network.nodes[0]


@pytest.fixture
def fd():
    with program_returning(TC_ACT_UNSPEC) as descriptor:
        yield descriptor


@pytest.fixture(params=BY_HOOK)
def hook(request, require_feature):
    require_feature(request.param)
    return HOOKS[request.param]


def rows(node, direction=INGRESS):
    return [row for row in all_attachments(node.ns, "lxc1") if row.direction == direction]


@pytest.mark.parametrize("direction", [INGRESS, EGRESS])
def test_an_attachment_is_listed_and_detached(hook, node, fd, direction):
    with hook.attach(node.ns, node.ifindex("lxc1"), direction, fd, "mine") as attachment:
        row = attachment.listed()
        assert rows(node, direction) == [row]
        assert (row.interface, row.direction, row.hook) == ("lxc1", direction, hook.NAME)
        assert row.id > 0
        assert len(row.tag) == 16
        assert (row.link, row.link > 0) == (attachment.link, hook.NAME == "tcx")
        assert str(row).startswith(f"lxc1 {direction} {hook.NAME} ")
        attachment.detach()
        assert attachment.listed() is None
        attachment.detach()  # the second time there is nothing to do
    assert rows(node, direction) == []


def test_the_first_runs_before_the_others_whoever_came_last(hook, node, fd):
    with (
        program_returning(TC_ACT_UNSPEC) as second,
        program_returning(TC_ACT_UNSPEC) as third,
        hook.attach(node.ns, node.ifindex("lxc1"), INGRESS, fd, "behind") as behind,
        attach_first(node.ns, "lxc1", node.ifindex("lxc1"), INGRESS, second, "one") as one,
        attach_first(node.ns, "lxc1", node.ifindex("lxc1"), INGRESS, third, "two") as two,
    ):
        order = [row.id for row in rows(node)]
        assert order == [each.listed().id for each in (two, one, behind)]


def test_it_is_first_where_a_cni_sits_at_clsacts_first_priority(node, fd):
    with foreign.attached(node, "lxc1", foreign.OK, prio=1):
        theirs = rows(node)
        with attach_first(node.ns, "lxc1", node.ifindex("lxc1"), INGRESS, fd, "mine") as mine:
            assert rows(node) == [mine.listed(), *theirs]
        assert rows(node) == theirs


def test_it_is_first_where_programs_are_at_both_hooks(node, fd, require_feature):
    require_feature("tcx")
    with foreign.attached(node, "lxc1", foreign.OK, prio=1), foreign.tcx(node, "lxc1", foreign.OK):
        theirs = rows(node)
        assert [row.hook for row in theirs] == ["tcx", "clsact"]
        with attach_first(node.ns, "lxc1", node.ifindex("lxc1"), INGRESS, fd, "mine") as mine:
            assert rows(node) == [mine.listed(), *theirs]
            assert mine.hook == "tcx"


def refused(call, *words):
    with pytest.raises(KernelError) as error:
        call()
    said = str(error.value)
    assert "\n" not in said
    assert [word for word in words if word not in said] == []


def test_what_cannot_be_first_says_why(node, fd):
    with foreign.attached(node, "lxc1", foreign.OK, prio=1, protocol=0x0008):  # ETH_P_IP
        theirs = rows(node)
        refused(
            lambda: attach_first(node.ns, "lxc1", node.ifindex("lxc1"), INGRESS, fd, "mine"),
            "cannot attach mine at clsact ingress", "priority 1 is taken by a filter of another",
        )  # fmt: skip
        assert rows(node) == theirs


def test_the_same_place_twice(hook, node, fd):
    ifindex = node.ifindex("lxc1")
    with hook.attach(node.ns, ifindex, INGRESS, fd, "mine") as mine:
        refused(
            lambda: hook.attach(node.ns, ifindex, INGRESS, fd, "again"),
            f"cannot attach again at {hook.NAME} ingress", "is ", "there: detach it",
        )  # fmt: skip
        assert rows(node) == [mine.listed()]


def test_an_ifindex_of_another_namespace(hook, bed, node, fd):
    ifindex = 4_000  # no namespace of the testbed has one
    refused(lambda: hook.attach(node.ns, ifindex, INGRESS, fd, "mine"), f"ifindex {ifindex}")
    here = node.ifindex("lxc1")
    pod = bed.network.pods[0].ns
    assert here != bed.network.pods[0].ifindex("eth0")
    refused(lambda: hook.attach(pod, here, INGRESS, fd, "mine"), f"ifindex {here}")
    assert all_attachments(pod) == []


def test_netkit_where_the_device_is_none(node, fd):
    refused(
        lambda: HOOKS["netkit"].attach(node.ns, node.ifindex("lxc1"), INGRESS, fd, "mine"),
        "cannot attach mine at netkit ingress", "primary of a netkit pair",
    )  # fmt: skip


def test_a_kernel_without_the_hook(node, fd, monkeypatch):
    place = ("tcx", INGRESS, 9_999)
    refused(
        lambda: bpf_link.attach(node.ns, node.ifindex("lxc1"), place, fd, "mine", False, "do this"),
        "cannot attach mine at tcx ingress", "(Invalid argument): do this",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ESTALE, "attach again"),
        (errno.EEXIST, "the same program is attached there: detach it"),
        (errno.ENODEV, "check that the device is in that namespace"),
        (errno.EPERM, "run as root with CAP_BPF"),
        (errno.ERANGE, "64 programs are attached there"),
    ],
)
def test_what_a_link_is_refused_for(node, fd, monkeypatch, code, words):
    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(bpf_link.syscall, "link_create", refuse)
    refused(
        lambda: HOOKS["tcx"].attach(node.ns, node.ifindex("lxc1"), INGRESS, fd, "mine"),
        "cannot attach mine at tcx ingress", os.strerror(code), words,
    )  # fmt: skip


def test_a_device_that_vanishes_takes_the_program_along(hook, node, fd):
    attachment = hook.attach(node.ns, node.ifindex("lxc1"), INGRESS, fd, "mine")
    node.ns.netlink.link("del", index=node.ifindex("lxc1"))
    assert attachment.listed() is None
    attachment.detach()


def test_a_forked_child_does_not_keep_it_attached(node, fd, require_feature):
    require_feature("tcx")
    attachment = HOOKS["tcx"].attach(node.ns, node.ifindex("lxc1"), INGRESS, fd, "mine")
    read, write = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover - it holds a copy of every descriptor, and waits
        os.close(write)
        os.read(read, 1)
        os._exit(0)
    try:
        os.close(read)
        attachment.detach()
        assert rows(node) == []
    finally:
        os.close(write)
        os.waitpid(child, 0)


def test_nothing_stays_after_sigkill(bed, node, fd, require_feature):
    require_feature("tcx")
    read, write = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover - it attaches, says so, and is killed
        HOOKS["tcx"].attach(node.ns, node.ifindex("lxc1"), INGRESS, fd, "mine")
        os.write(write, b"x")
        signal.pause()
    try:
        assert os.read(read, 1) == b"x"
        assert len(rows(node)) == 1
        os.kill(child, signal.SIGKILL)
    finally:
        os.waitpid(child, 0)
        os.close(read)
        os.close(write)
    assert rows(node) == []


#: Tests whose probes hang where the datapath's programs do.
PROBING = [
    ("one_node/test_bypass::test_hr01_programs_attached_and_hit", {}),
    ("one_node/test_bypass::test_hr11_tc_egress_drop_on_the_servers_lxc", {}),
    ("one_node/test_border::test_hr37_mark_and_tstamp_across_the_border", {}),
    ("one_node/test_helpers::test_hr39_redirect_peer_misdirected", {"wrong": "no-veth"}),
    ("one_node/test_helpers::test_hr39_redirect_peer_well_directed", {}),
    ("one_node/test_helpers::test_hr48_helpers_misused", {"misuse": "peer-unknown-flags"}),
    ("one_node/test_helpers::test_hr48_redirect_neigh_of_a_multicast_frame",
     {"destination": "multicast"}),
]  # fmt: skip


@pytest.mark.parametrize("elsewhere", [PRIORITY_ONE, DATAPATHS["bpf-tcx"], BOTH],
                         ids=lambda datapath: datapath.name)  # fmt: skip
@pytest.mark.parametrize(("test", "arguments"), PROBING, ids=[t.split("::")[1] for t, _ in PROBING])
def test_probes_beside_a_datapath_wherever_it_hangs(
    request, require_feature, elsewhere, test, arguments
):
    if "tcx" in elsewhere.needs:
        require_feature("tcx")
    call_test(request, find_test(Catch(test, "")), elsewhere, Family.ipv4, arguments)
