# SPDX-License-Identifier: Apache-2.0
"""Where programs hang: what TCX does otherwise than clsact, beside programs of others."""

from contextlib import contextmanager

import pytest

from harness.attach import HOOKS, INGRESS, all_attachments, attach_first
from harness.testbed import Testbed
from testbeds.faults import TC_ACT_SHOT, TC_ACT_UNSPEC, program_returning
from testbeds.one_node.legs import OWN_NODE, SAME_NODE

PINGS = 5
by_tcx = pytest.mark.claims(attaches="tcx")


def _at_lxc1(testbed: Testbed):
    rows = all_attachments(testbed.master.ns, "lxc1")
    return [row for row in rows if row.direction == INGRESS]


@contextmanager
def _beside(testbed: Testbed, hook, verdict=TC_ACT_UNSPEC):
    """A program of somebody else at pod1's lxc: before the datapath's, or behind it by a hook."""
    node = testbed.master
    with program_returning(verdict) as fd:
        if hook is None:
            with attach_first(node.ns, "lxc1", node.ifindex("lxc1"), INGRESS, fd, "others") as one:
                yield one
        else:
            attach = HOOKS[hook].attach
            with attach(node.ns, node.ifindex("lxc1"), INGRESS, fd, "others") as one:
                yield one


@by_tcx
def test_hr78_listed_by_link_in_order(one_node: Testbed, datapath, family):
    own = _at_lxc1(one_node)
    assert {(row.hook, row.link > 0) for row in own} == {("tcx", True)}, "hook and link"
    with _beside(one_node, None) as before, _beside(one_node, "tcx") as after:
        links = [row.link for row in _at_lxc1(one_node)]
        told = [row.link if row else 0 for row in (before.listed(), after.listed())]
    assert links == [before.link, *(row.link for row in own), after.link], "order"
    assert told == [before.link, after.link], "each lists itself"


@by_tcx
def test_hr78_no_qdisc_on_the_device(one_node: Testbed, datapath, family):
    qdiscs = one_node.master.ns.netlink.get_qdiscs()
    kinds = {entry.get_attr("TCA_KIND") for entry in qdiscs}
    assert "clsact" not in kinds, "qdiscs"


@by_tcx
def test_hr78_clsact_behind_a_pass_never_runs(one_node: Testbed, datapath, family):
    with _beside(one_node, "clsact", TC_ACT_SHOT) as other:
        row = other.listed()
        assert row is not None, "listed"
        with one_node.run_counts() as runs, one_node.capture() as seen:
            one_node.pod1.ping(one_node.master, PINGS)
    assert seen.legs() == OWN_NODE
    counted = {ran.id: ran.runs for ran in runs.at("master", "lxc1")}
    assert counted[row.id] == 0, "runs behind a PASS"


@by_tcx
def test_hr78_one_that_says_next_is_harmless(one_node: Testbed, datapath, family):
    with _beside(one_node, None) as other:
        row = other.listed()
        assert row is not None, "listed"
        with one_node.run_counts() as runs, one_node.capture() as seen:
            one_node.pod1.ping(one_node.pod2, PINGS)
    assert seen.legs() == SAME_NODE[datapath.claims.delivers]
    counted = {ran.id: ran.runs for ran in runs.at("master", "lxc1")}
    assert counted[row.id] == PINGS, "runs before the datapath"


@by_tcx
def test_hr78_detached_at_once(one_node: Testbed, datapath, family):
    with _beside(one_node, None, TC_ACT_SHOT) as other:
        attached = one_node.pod1.ping(one_node.pod2, PINGS)
        other.detach()
        detached = one_node.pod1.ping(one_node.pod2, PINGS)
        row = other.listed()
    assert attached.lost == PINGS, "lost while attached"
    assert (detached.lost, row) == (0, None), "detached"
