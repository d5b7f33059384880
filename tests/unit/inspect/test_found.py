# SPDX-License-Identifier: Apache-2.0
"""Details of what is found, and of how it is read."""

import errno
import struct

import pytest

from harness.bpf.symbols import Symbols
from harness.inspect import devices
from harness.inspect.devices import Counters, _hops
from harness.inspect.kernel import COUNTING, find
from harness.inspect.lines import few
from harness.inspect.notes import Notes
from harness.inspect.window import Window, stack_counters
from harness.plumbing.errors import KernelError
from harness.plumbing.netlink_attributes import attribute, attributes


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


def test_a_device_that_counts_anew_is_not_counted():
    window = object.__new__(Window)
    window._notes = Notes()
    assert window._risen("lxc1", Counters(5, 5), Counters(7, 9)) == Counters(2, 4)
    assert window._risen("lxc1", Counters(5, 5), Counters(7, 1)) is None
    assert window._notes.lines == [
        "lxc1: its counters were set back meanwhile, and are not counted"
    ]


class OneFamily:
    """A namespace of a kernel that was booted with ipv6.disable=1."""

    name = "one family"

    def read(self, path):
        if path.endswith("6"):
            raise FileNotFoundError(2, "No such file or directory", path)
        return "Ip: InReceives ForwDatagrams\nIp: 7 5\n"


def test_a_node_without_ipv6_has_counters(monkeypatch):
    assert stack_counters(OneFamily()) == {"IpInReceives": 7, "IpForwDatagrams": 5}

    def refuse(*_arguments, **_options):
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(devices, "ask", refuse)
    assert devices._with_next_hop(OneFamily()) == set()


def test_nothing_is_loaded_to_count():
    """5.10 has counters in a module; without it in kallsyms, to count would load it."""
    text = b"".join(b"0000000000000000 t %s\n" % name.encode() for name in COUNTING)
    assert find(Symbols(text)).lacks == ()
    assert find(Symbols(text.replace(b"nft_counter_eval", b"other"))).lacks == ("nft_counter_eval",)
    assert find(Symbols(b"", "hidden")).lacks == ()


def test_a_fault_of_ours_is_no_note():
    with pytest.raises(ZeroDivisionError):
        Notes().attempt("the thing", lambda: 1 // 0, 5)
