# SPDX-License-Identifier: Apache-2.0
"""ELF objects of others: constants, shared maps, what is filled in, and what is refused."""

import ctypes
import gc
import os
import socket
import struct
from pathlib import Path

import pytest

from harness.attach import all_attachments
from harness.bpf import pool
from harness.bpf.libbpf import libbpf
from harness.datapath.brought import read
from harness.testbed import Testbed
from harness.topology import TESTBEDS, Family, Topology
from tests.support.elf_example import (
    HASH,
    TINY,
    attach,
    compiled,
    counting,
    counting_source,
    describe,
    example,
    open_files,
)
from tests.support.false_claims import claiming

pytestmark = pytest.mark.usefixtures("hr_machine", "hr_programs")


def inet(address):
    return socket.inet_pton(socket.AF_INET, address)


def entries(loaded, name):
    found = loaded.maps[name]
    return {key: _value(found, key) for key in found.keys()}  # noqa: SIM118  # a map of the kernel's


def _value(found, key):
    buffer = ctypes.create_string_buffer(found.spec.value_size)
    assert libbpf().bpf_map_lookup_elem(found.fd, key, buffer) == 0
    return buffer.raw


# ------------------------------------------------------------------------------------- the example


def test_the_example_forwards_on_both_testbeds(tmp_path):
    datapath = read(example(tmp_path))
    for name in ("one_node", "two_node"):
        with Testbed(TESTBEDS.find(name).topology, datapath, name=name, insist=True) as testbed:
            for family in Family:
                testbed.family = family
                assert testbed.pod1.ping(testbed.pod2).lost == 0
            for node in testbed.network.nodes:
                rows = all_attachments(node.ns)
                assert {row.program for row in rows} <= {"from_pod", "from_wire"}
                assert len(rows) == len(node.pods) + len(node.uplinks)


def test_the_example_by_tcx(tmp_path, require_feature):
    require_feature("tcx")
    path = example(tmp_path, "by-tcx", toml=claiming("attaches", '"tcx"'))
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('hook = "clsact"', 'hook = "tcx"'), encoding="utf-8")
    datapath = read(path)
    assert "tcx" in datapath.needs
    topology = TESTBEDS.find("two_node").topology
    with Testbed(topology, datapath, insist=True) as testbed:
        assert testbed.pod1.ping(testbed.pod2).lost == 0
        rows = testbed.datapaths[0].installed.attachments()
        assert [(row.interface, row.hook) for row in rows] == [("lxc1", "tcx"), ("enp0s8", "tcx")]


def test_each_lxc_has_constants_of_its_own(tmp_path):
    """The example drops what comes from another's address: here, all that is not the gateway's."""
    wrong = {'variables = { pod_ip4 = "{ip4}", pod_ip6 = "{ip6}" }':
             'variables = { pod_ip4 = "{gateway4}", pod_ip6 = "{ip6}" }'}  # fmt: skip
    topology = TESTBEDS.find("one_node").topology
    with Testbed(topology, read(example(tmp_path, "wrong", toml=wrong)), insist=True) as testbed:
        assert testbed.pod1.ping(testbed.pod2).lost == 1
        testbed.family = Family.ipv6
        assert testbed.pod1.ping(testbed.pod2).lost == 0


def test_maps_say_what_the_node_is_and_follow_it(tmp_path):
    path = describe(
        tmp_path,
        {"mine.o": counting(kind=HASH)},
        attach()
        + """
[[map]]
name = "shared"
each = "address4"
key = "{ip4}"
value = 7
""",
    )
    with Testbed(Topology(nodes=2), read(path), insist=True) as testbed:
        node, installed = testbed.network.nodes[0], testbed.datapaths[0].installed
        before = entries(installed._set, "shared")
        own = [inet(address) for address in node.all_addresses() if "." in address]
        assert inet(node.addresses.ipv4) in own
        assert before == dict.fromkeys(own, struct.pack("=I", 7))
        node.add_address("lo", "10.9.9.9", 32)
        installed.sync()
        assert entries(installed._set, "shared") == before | {inet("10.9.9.9"): b"\7\0\0\0"}
        node.delete_address("lo", "10.9.9.9", 32)
        installed.sync()
        assert entries(installed._set, "shared") == before


def test_what_the_testbed_needs_is_done(tmp_path):
    path = describe(tmp_path, {"mine.o": compiled(TINY % ("", ""))}, """
[testbed]
gateway = "lxc"
forwarding = false
uplinks = "first"
""" + attach() + attach().replace('"lxc"', '"uplink"'))  # fmt: skip
    with Testbed(Topology(nodes=2, uplinks=2), read(path), insist=True) as testbed:
        (node, _) = testbed.network.nodes
        assert node.gateway.ipv4 in node.all_addresses()
        assert node.gateway.ipv6 in node.all_addresses()
        for family in (4, 6):
            assert node.ns.read(f"/proc/sys/net/ipv{family}/conf/all/forwarding").strip() == "0"
        assert [row.interface for row in all_attachments(node.ns)] == ["lxc1", "enp0s8"]


# --------------------------------------------------------------------------- objects and their maps


def counted(testbed):
    found = testbed.datapaths[0].installed._set.maps["shared"]
    return struct.unpack("=I", _value(found, bytes(4)))[0]


def test_maps_of_one_name_are_one_map_and_begin_anew_with_each_testbed(tmp_path):
    both = attach() + attach(file="other.o").replace("ingress", "egress")
    other = compiled("/* another object */\n" + counting_source())
    path = describe(tmp_path, {"mine.o": counting(), "other.o": other + b"\0"}, both)
    datapath = read(path)
    assert len({entry.file for entry in datapath.attach}) == 2
    sets = []
    for _ in range(2):
        with Testbed(TESTBEDS.find("one_node").topology, datapath, insist=True) as testbed:
            sets.append(testbed.datapaths[0].installed._set)
            assert counted(testbed) == 0
            testbed.pod1.ping(testbed.master)
            assert counted(testbed) == 2  # the request came in, the reply went out
    assert sets[0] is sets[1], "pooled"


def test_pinning_by_name_is_ignored(tmp_path):
    path = describe(tmp_path, {"mine.o": counting(more="int (*pinning)[1];")}, attach())
    with Testbed(TESTBEDS.find("one_node").topology, read(path), insist=True) as testbed:
        testbed.pod1.ping(testbed.master)
        assert counted(testbed) == 1
    assert not Path("/sys/fs/bpf/shared").exists()


def test_a_programs_own_variables_begin_anew_too(tmp_path):
    body = "static volatile __u32 seen = 5;", "if (seen++ != 5) return 2"  # TC_ACT_SHOT
    path = describe(tmp_path, {"mine.o": compiled(TINY % body)}, attach())
    datapath, sets = read(path), []
    for _ in range(2):
        with Testbed(TESTBEDS.find("one_node").topology, datapath, insist=True) as testbed:
            sets.append(testbed.datapaths[0].installed._set)
            assert testbed.pod1.ping(testbed.master, 2).lost == 1
    assert sets[0] is sets[1]


def test_a_set_whose_maps_cannot_be_emptied_is_loaded_anew(tmp_path):
    """A queue, of which nothing here knows how it was."""
    queue = """struct { int (*type)[22]; int (*max_entries)[4]; int (*key_size)[0];
        __u32 *value; } shared SEC(".maps");
    static long (*push)(void *map, const void *value, unsigned long long flags) = (void *)87;"""
    use = "__u32 v = 1; push(&shared, &v, 0)"
    path = describe(tmp_path, {"mine.o": compiled(TINY % (queue, use))}, attach())
    datapath, sets = read(path), []
    for _ in range(2):
        with Testbed(TESTBEDS.find("one_node").topology, datapath, insist=True) as testbed:
            sets.append(testbed.datapaths[0].installed._set)
    assert sets[0] is not sets[1]


def test_reloading_loads_anew(tmp_path):
    datapath, ids = read(example(tmp_path)), []
    topology = TESTBEDS.find("one_node").topology
    for reload in (False, True, False):
        with Testbed(topology, datapath, insist=True, reload=reload) as testbed:
            ids.append({row.id for row in testbed.datapaths[0].installed.attachments()})
    assert ids[0] == ids[1]
    assert ids[1].isdisjoint(ids[2])


def resources():
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return open_files(), pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
def test_two_hundred_testbeds_leave_nothing(tmp_path):
    datapath, before = read(example(tmp_path)), None
    for turn in range(220):
        topology = TESTBEDS.find(("one_node", "two_node")[turn % 2]).topology
        with Testbed(topology, datapath, insist=True) as testbed:
            testbed.pod1.ping(testbed.pod2)
        if turn == 19:  # what is made once has been made
            before = resources()
    after = resources()
    assert after[0] == before[0]
    assert after[1] - before[1] < 2 << 20  # bytes
    pool.unload_idle()
