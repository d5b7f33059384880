# SPDX-License-Identifier: Apache-2.0
"""What is read from netlink by hand is what pyroute2 reads."""

import struct
from contextlib import closing

import pytest

from harness.plumbing.errors import KernelError
from harness.plumbing.netlink_attributes import attribute, attributes, number
from harness.plumbing.netns import NetNS
from harness.plumbing.rtnetlink import every_address

MANY = 500  # more than one answer of the kernel's holds


@pytest.fixture
def namespace():
    with closing(NetNS("several")) as ns:
        ns.netlink.link("add", ifname="v0", kind="veth", peer={"ifname": "v1"})
        ns.netlink.link("set", index=ns.netlink.link_lookup(ifname="lo")[0], state="up")
        yield ns


def test_addresses_of_both_families_are_read(namespace):
    index = namespace.netlink.link_lookup(ifname="v0")[0]
    for n in range(MANY):
        namespace.netlink.addr(
            "add", index=index, address=f"10.1.{n // 250}.{n % 250 + 1}", prefixlen=32
        )
    namespace.netlink.addr("add", index=index, address="fd00::7", prefixlen=64)
    # The far end of a point-to-point link is no address of ours.
    namespace.netlink.addr("add", index=index, address="10.2.0.2", local="10.2.0.1", prefixlen=32)
    read = [
        entry.get_attr("IFA_LOCAL") or entry.get_attr("IFA_ADDRESS")
        for entry in namespace.netlink.get_addr()
    ]
    assert every_address(namespace) == read
    assert len(read) == MANY + 4, "with those of lo"
    assert {"fd00::7", "10.2.0.1", "127.0.0.1", "::1"} <= set(read)
    assert "10.2.0.2" not in read


def test_a_channel_is_opened_anew_after_an_error(namespace):
    before = every_address(namespace)
    with pytest.raises(KernelError), namespace.channel() as broken:
        raise KernelError("not answered")
    assert broken.fileno() == -1, "closed"
    assert every_address(namespace) == before


def test_attributes_of_any_length_are_found():
    said = number(5, 1) + attribute(2, b"x") + number(6, 0)
    assert attributes(said) == {5: struct.pack("=I", 1), 2: b"x", 6: bytes(4)}
    assert attributes(bytes(3) + said, 3) == attributes(said), "from an offset on"
    assert attributes(said[:2]) == {}, "cut"
    assert attributes(struct.pack("=HH", 0, 7)) == {}, "of a length that cannot be"
