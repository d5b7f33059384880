# SPDX-License-Identifier: Apache-2.0
"""Details of what is found that this machine's kernel may not have."""

import struct

import pytest

from harness.inspect.devices import _hops
from harness.inspect.found import _has_mirred
from harness.inspect.lines import few
from harness.inspect.notes import Notes
from harness.plumbing.errors import KernelError
from harness.plumbing.netlink_attributes import attribute, attributes


@pytest.mark.parametrize(
    ("entry", "mirred"),
    [
        ({"attrs": [("TCA_KIND", "matchall"), ("TCA_ACT_KIND", "mirred")]}, True),
        ({"attrs": [("TCA_OPTIONS", "0b:00:01:00:6d:69:72:72:65:64:00")]}, True),
        ({"attrs": [("TCA_KIND", "flower"), ("TCA_ACT_KIND", "gact")]}, False),
        ({}, False),
    ],
)
def test_mirred_is_found_where_it_is_decoded_and_where_it_is_not(entry, mirred):
    assert _has_mirred(entry) is mirred


def test_next_hops_of_a_route_with_several():
    """The second leads to a device without a gateway."""
    gateway = attribute(5, bytes([10, 0, 0, 1]))
    hops = struct.pack("=HBBi", 8 + len(gateway), 0, 0, 3) + gateway
    hops += struct.pack("=HBBi", 8, 0, 0, 4)
    assert _hops(hops) == {3}
    assert _hops(b"") == set()
    assert _hops(struct.pack("=HBBi", 0, 0, 0, 5)) == set()


def test_attributes_there_and_back():
    text = attribute(3, b"lxc1\0") + attribute(37, struct.pack("=i", 7))
    assert attributes(text) == {3: b"lxc1\0", 37: struct.pack("=i", 7)}
    assert attributes(text[:-9]) == {3: b"lxc1\0"}
    assert attributes(bytes(8)) == {}


def test_a_few_of_many():
    assert few([]) == "none"
    assert few(["a", "b"]) == "a, b"
    assert few(list("abcdefgh")) == "a, b, c, d, e, f and 2 more"


def test_what_cannot_be_looked_at_is_noted_once():
    notes = Notes()

    def refuse():
        raise KernelError("it is not there", "build it")

    for _ in range(2):
        assert notes.attempt("the thing", refuse, 5) == 5
    assert notes.attempt("another", lambda: 6, 5) == 6
    assert notes.lines == ["the thing: it is not there: build it"]


def test_a_fault_of_ours_is_no_note():
    with pytest.raises(ZeroDivisionError):
        Notes().attempt("the thing", lambda: 1 // 0, 5)
