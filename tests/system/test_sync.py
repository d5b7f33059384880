# SPDX-License-Identifier: Apache-2.0
"""What `sync` leaves in the programs' maps and on hooks: what is there now, nothing dead."""

import pytest

from harness import datapath as datapaths
from harness.attach import INGRESS
from harness.datapath.brought import read
from harness.testbed import Testbed
from harness.topology import Family, Topology
from tests.support.elf_example import example

pytestmark = pytest.mark.usefixtures("hr_machine")
MORE = ["10.0.1.100", "fd00:10:0:1::100"]


def _keys(installed, name):
    return {bytes(key) for key in installed.module.table(name)}


def _lxcs(node):
    return {node.ifindex(pod.lxc).to_bytes(4, "little") for pod in node.pods}


def _ifindexes(installed, family):
    """The devices that addresses lead to."""
    table = installed.module.table(f"endpoints{family.value}")
    return {leaf.ifindex for leaf in table.values()} - {0}


def test_nothing_of_a_dead_pod_is_left():
    with Testbed(Topology(nodes=2, pods_per_node=2), datapaths.find("bpf")) as testbed:
        node, installed = testbed.network.nodes[0], testbed.datapath_of("master").installed
        before = {name: _keys(installed, name) for name in ("endpoints4", "endpoints6")}
        old = node.ifindex("lxc1")
        testbed.remake("pod1")
        installed.sync()
        assert node.ifindex("lxc1") != old
        assert _keys(installed, "sources") == _lxcs(node)
        for family in Family:
            assert _ifindexes(installed, family) == {node.ifindex(pod.lxc) for pod in node.pods}
        assert {name: _keys(installed, name) for name in before} == before
        assert len(installed.attachments()) == 4


def test_an_index_that_the_testbed_remembers_wrongly_is_asked_for_anew():
    with Testbed(Topology(nodes=1), datapaths.find("bpf")) as testbed:
        node, installed = testbed.network.nodes[0], testbed.datapath_of("master").installed
        right = node.ifindex("lxc1")
        node.links["lxc1"] = right + 4000  # as if somebody had made the device anew
        installed.sync()
        assert node.ifindex("lxc1") == right
        assert _keys(installed, "sources") == _lxcs(node)


@pytest.mark.parametrize("name", ["bpf", "bpf-tcx"])
def test_a_device_made_anew_under_its_old_index_gets_its_program_again(name, require_feature):
    require_feature("tcx")
    with Testbed(Topology(nodes=1, pods_per_node=2), datapaths.find(name)) as testbed:
        network, installed = testbed.network, testbed.datapath_of("master").installed
        old = network.nodes[0].ifindex("lxc1")
        network._ifindexes = iter([old])
        testbed.remake("pod1")
        installed.sync()
        assert network.nodes[0].ifindex("lxc1") == old
        assert {row.interface for row in installed.attachments()} == {"lxc1", "lxc2"}
        assert testbed.pod1.ping(testbed.pod2).lost == 0


def test_an_address_that_was_withdrawn_is_nobodys():
    with Testbed(Topology(nodes=1), datapaths.find("bpf")) as testbed:
        installed = testbed.datapath_of("master").installed
        before = {name: _keys(installed, name) for name in ("endpoints4", "endpoints6")}
        testbed.assign("pod1", MORE)
        installed.sync()
        for name, keys in before.items():
            assert len(_keys(installed, name)) == len(keys) + 1
        for address in MORE:
            testbed.withdraw("pod1", address)
        installed.sync()
        assert {name: _keys(installed, name) for name in before} == before


def test_constants_of_elf_programs_follow_a_pod(tmp_path):
    """The example's programs know their pod's addresses as constants; another's changes nothing."""
    with Testbed(Topology(nodes=1, pods_per_node=2), read(example(tmp_path))) as testbed:
        installed = testbed.datapath_of("master").installed
        loads = len(installed._loaded.loads)
        testbed.remake("pod2")
        installed.sync()
        assert len(installed._loaded.loads) == loads
        pod = testbed.network.pods[1]
        pod.addresses = type(pod.addresses)("10.0.1.77", "fd00:10:0:1::77")
        testbed.remake("pod2")
        installed.sync()
        assert len(installed._loaded.loads) == loads + 1
        rows = [row for row in installed.attachments() if row.interface == "lxc2"]
        assert [row.direction for row in rows] == [INGRESS]
        for family in Family:
            testbed.family = family
            assert testbed.pod2.ping(testbed.pod1).lost == 0
