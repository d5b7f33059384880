# SPDX-License-Identifier: Apache-2.0
"""The request for a netkit pair, byte by byte; what a topology says of its pods' devices."""

import struct

import pytest

from harness import datapath as datapaths
from harness.datapath import DATAPATHS, Features
from harness.datapath.probes import Probe
from harness.plumbing.errors import UnknownNameError
from harness.topology import POD_DEVICES, Topology, netkit

PRIMARY, PEER = netkit.End("lxc1", "02:00:02:00:00:01"), netkit.End("eth0", "02:00:03:00:00:01")


def attributes(data):
    """Kind → value of each attribute."""
    found = {}
    while data:
        length, kind = struct.unpack_from("=HH", data)
        found[kind] = data[4:length]
        data = data[length + 3 & ~3 :]
    return found


def request(mode, scrub=None):
    """The request, and its attributes: of the link, of netkit, and of the peer."""
    message = netkit.request(PRIMARY, 1000, PEER, 7, 1400, netkit.MODES[mode], scrub)
    link = attributes(message[32:])
    info = attributes(link[18])
    assert info[1] == b"netkit\0"
    data = attributes(info[2])
    return message, link, data, attributes(data[1][16:])


@pytest.mark.parametrize("mode", netkit.MODES)
def test_both_ends_are_named_and_placed(mode):
    message, link, _, peer = request(mode)
    length, kind, flags, *_ = struct.unpack_from("=IHHII", message)
    assert (length, kind, flags) == (len(message), 16, 0x605)
    assert struct.unpack_from("=i", message, 20) == (1000,)
    assert (link[3], peer[3]) == (b"lxc1\0", b"eth0\0")
    assert link[4] == peer[4] == struct.pack("=I", 1400)
    assert peer[28] == struct.pack("=I", 7)


def test_both_policies_are_to_pass():
    for mode, number in netkit.MODES.items():
        _, _, data, _ = request(mode)
        assert [struct.unpack("=I", data[kind])[0] for kind in (3, 4, 5)] == [0, 0, number]


def test_only_l2_has_macs():
    _, link, _, peer = request("netkit")
    assert (link[1].hex(":"), peer[1].hex(":")) == (PRIMARY.mac, PEER.mac)
    _, link, _, peer = request("netkit-l3")
    assert 1 not in link
    assert 1 not in peer
    assert not Topology(pod_device="netkit-l3").pods_have_macs
    assert Topology(pod_device="netkit").pods_have_macs


def test_scrub_is_asked_for_both_ways_or_not_mentioned():
    _, _, data, _ = request("netkit", netkit.SCRUB_NONE)
    assert data[6] == data[7] == struct.pack("=I", netkit.SCRUB_NONE)
    assert not {6, 7} & set(request("netkit")[2])


def kernel(netkit_there=True):
    """Probe results: everything is there, but perhaps netkit."""
    names: Features = dict.fromkeys(datapaths.features.FEATURES, Probe(True, ""))
    return {**names, "netkit": Probe(netkit_there, "")}


def test_a_datapath_gets_the_device_that_it_asks_for():
    for name, datapath in DATAPATHS.items():
        device = datapaths.placed(Topology(), datapath, features=kernel()).pod_device
        assert device == ("netkit" if name == "bpf-netkit" else "veth")
    assert datapaths.placed(Topology(), None).pod_device == "veth"


def test_a_node_that_will_run_legacy_gets_veth():
    datapath = DATAPATHS["bpf-netkit"]
    assert datapaths.placed(Topology(), datapath, features=kernel(False)).pod_device == "veth"


def test_a_device_that_was_asked_for_is_kept_or_refused():
    for device in POD_DEVICES:
        asked = Topology(pod_device=device)
        assert datapaths.placed(asked, DATAPATHS["bpf"], features=kernel()) == asked
    with pytest.raises(UnknownNameError, match="use netkit or netkit-l3") as refused:
        datapaths.placed(Topology(pod_device="veth"), DATAPATHS["bpf-netkit"], features=kernel())
    assert "datapath 'bpf-netkit' cannot be attached to pod_device 'veth'" in str(refused.value)
