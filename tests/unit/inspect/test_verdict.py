# SPDX-License-Identifier: Apache-2.0
"""The verdict, from counts alone: BPF takes positive evidence."""

from dataclasses import replace

import pytest

from harness.inspect.counting import Counted, Flow, at_devices, in_stack
from harness.inspect.devices import Counters, Device, Devices, Pod
from harness.inspect.found import Found
from harness.inspect.kernel import Kernel
from harness.inspect.lines import found_lines, seen_lines
from harness.inspect.programs import Program
from harness.inspect.rules import Flowtable, Rules
from harness.inspect.verdict import judge
from harness.inspect.window import Pair, Seen

REDIRECTING = ("bpf_fib_lookup", "bpf_redirect_peer")


def device(name, ifindex, nsid=0):
    return Device(name, ifindex, "veth", True, False, 0, nsid, 2, Counters(0, 0))


def program(name, helpers=REDIRECTING, **fields):
    return Program(name, "ingress", "clsact", 1, "from_pod", "0" * 16, 7, 1, helpers, **fields)


LXCS = (device("lxc1", 10, 1), device("lxc2", 11, 2))
PODS = tuple(Pod(lxc, "eth0", (f"10.0.0.{at}",)) for at, lxc in enumerate(LXCS, 1))
KERNEL = Kernel("6.12.0", {}, True, "", "")


def found(programs=(), rules=None, kernel=KERNEL, ports=None):
    here = Devices(PODS, (), (), (), ports or {})
    return Found("a node", kernel, here, list(programs), [], [], rules or Rules(), {}, None)


BPF = found((program("lxc1"), program("lxc2")))


def pair(sent, received, through):
    """What a pair counted: what its pod sent, what it received, and what went through the lxc."""
    return Pair(Counters(sent, through), Counters(received, sent))


def seen(one, two, stack=None, runs=0):
    return Seen(10.0, {"lxc1": one, "lxc2": two}, {}, {7: runs}, stack or Counted(passed={}))


BYPASSED = seen(pair(10, 10, 0), pair(10, 10, 0), runs=20)


def passed(one, two):
    return {("lxc1", "ip", "host"): one, ("lxc2", "ip", "host"): two}


def through_stack(one=10, two=10):
    """So many packets each way, all of them through FORWARD."""
    return Counted(
        passed(one, two), {"lxc1": one, "lxc2": two}, {},
        {("lxc1", "lxc2"): one, ("lxc2", "lxc1"): two},
    )  # fmt: skip


def test_packets_that_were_taken_and_arrived_past_the_lxc_are_bpf():
    verdict = judge(BPF, BYPASSED)
    assert str(verdict) == ("Host Routing: BPF, seen (0 of 40 pod packets entered the stack)")


def test_packets_in_forward_are_legacy():
    verdict = judge(found(), seen(pair(10, 10, 10), pair(10, 10, 10), through_stack()))
    assert str(verdict) == "Host Routing: Legacy, seen (40 of 40 pod packets entered the stack)"
    assert verdict.leaks == []


def test_one_leak_makes_it_mixed_and_is_named():
    stack = through_stack(1, 0)
    stack.flows = [Flow("10.0.0.1", "10.0.0.2", "tcp", 80, "lxc1", "lxc2", 1)]
    verdict = judge(BPF, seen(pair(10, 10, 0), pair(10, 10, 1), stack, runs=20))
    assert verdict.host_routing == "mixed"
    assert verdict.stack == 2  # it was sent and it was received
    assert verdict.leaks == stack.flows


def test_forward_that_counted_nothing_proves_nothing():
    """A flowtable: packets pass the programs and do not come to PREROUTING."""
    rules = Rules(flowtables=[Flowtable("inet f", "f", ("lxc1", "lxc2"))])
    stack = Counted(passed(10, 10))
    for there in (found(rules=rules), replace(BPF, rules=rules)):
        verdict = judge(there, seen(pair(10, 10, 10), pair(10, 10, 10), stack, runs=20))
        assert verdict.host_routing == "Legacy"
        assert "by a flowtable" in verdict.remarks[0]


def test_a_bridge_is_legacy():
    rows = {("lxc1", "ip", "other"): 10, ("lxc2", "ip", "other"): 10}
    there = found(ports={"lxc1": "cni0", "lxc2": "cni0"})
    verdict = judge(there, seen(pair(10, 10, 10), pair(10, 10, 10), Counted(rows)))
    assert verdict.host_routing == "Legacy"
    assert "by a bridge" in verdict.remarks[0]


@pytest.mark.parametrize(
    "there", [found(), found((program("lxc1", ()), program("lxc2", ())))], ids=["none", "no helper"]
)
def test_what_no_program_redirects_is_never_bpf(there):
    verdict = judge(there, seen(pair(10, 0, 0), pair(10, 0, 0), runs=20))
    assert verdict.host_routing == "not seen"


def test_a_program_that_did_not_run_took_nothing():
    """A device counts segments that are merged before its programs see them (GRO)."""
    verdict = judge(BPF, seen(pair(99, 10, 10), pair(99, 10, 10), through_stack(), runs=20))
    assert verdict.host_routing == "Legacy"
    assert [row.sent.taken for row in verdict.pods] == [0, 0]


def test_packets_that_nobody_received_prove_nothing():
    verdict = judge(BPF, seen(pair(10, 0, 0), pair(10, 0, 0), runs=20))
    assert verdict.host_routing == "not seen"
    assert "none of them was seen to arrive" in str(verdict)


def test_what_a_program_answers_itself_is_no_bypass():
    """ARP and what a policy drops: taken, and nowhere to arrive, on a node whose stack forwards."""
    rows = through_stack()
    rows.sent = {(lxc, kind, "host"): n for lxc in ("lxc1", "lxc2")
                 for kind, n in (("ip", 10), ("arp", 3))}  # fmt: skip
    verdict = judge(BPF, seen(pair(13, 13, 13), pair(12, 13, 13), rows, runs=25))
    assert [row.sent.taken for row in verdict.pods] == [3, 2]
    assert verdict.host_routing == "Legacy"
    assert verdict.packets == verdict.stack == 40


def test_answers_to_arp_are_no_bypass():
    """Two questions of lxc1's pod are taken, and their answers redirected back to it."""
    counted = seen(pair(2, 2, 2), pair(0, 0, 0), Counted({}, sent={}), runs=2)
    assert judge(BPF, counted).host_routing == "BPF"  # control: without the count of questions
    counted.asked = {"lxc1": 2, "lxc2": 5}
    assert judge(BPF, counted).host_routing == "not seen"


def test_what_was_redirected_to_an_lxc_did_not_pass_its_egress():
    sent = {("lxc1", "arp", "host"): 1}
    verdict = judge(BPF, seen(pair(10, 11, 11), pair(10, 10, 10), Counted({}, sent=sent), runs=20))
    assert [row.received.redirected for row in verdict.pods] == [10, 10]
    assert str(verdict).startswith("Host Routing: BPF, seen (0 of 40 ")


@pytest.mark.parametrize(
    ("kind", "egress", "received", "said"),
    [
        ("veth", (), 0, "BPF"),  # it counts packets
        ("", (), 0, "not seen"),  # a NIC counts segments
        ("", (), 5, "BPF"),  # replies past the lxc vouch for requests
        ("", ("to_wire",), 0, "BPF"),  # a program runs once for each packet
    ],
)
def test_requests_that_leave_the_node(kind, egress, received, said):
    nic = replace(device("eth0", 5), kind=kind)
    there = replace(BPF, devices=replace(BPF.devices, uplinks=(nic,)))
    for name in egress:
        more = Program("eth0", "egress", "clsact", 1, name, "1" * 16, 8)
        there = replace(there, programs=[*there.programs, more])
    counted = seen(pair(10, received, 0), pair(0, 0, 0), Counted({}, sent={}), runs=10)
    counted.outward, counted.runs[8] = {"eth0": Counters(received, 10)}, 10
    assert judge(there, counted).host_routing == said


def test_before_6_7_taken_is_all_there_is():
    there = replace(BPF, kernel=replace(KERNEL, release="6.1.0", counts_peer=False))
    verdict = judge(there, seen(pair(10, 0, 0), pair(10, 0, 0), runs=20))
    assert verdict.host_routing == "BPF"
    assert "before 6.7" in verdict.remarks[0]


def test_hidden_helpers_are_not_no_helpers():
    there = found((program("lxc1", (), hidden=True), program("lxc2", (), hidden=True)))
    assert judge(there, BYPASSED).host_routing == "BPF"


def test_no_more_was_redirected_than_was_taken():
    """What comes through an lxc unexplained, such as the node's own ARP, is no bypass."""
    verdict = judge(BPF, seen(pair(10, 10, 13), pair(10, 10, 10), through_stack(), runs=20))
    assert verdict.host_routing == "Legacy"
    assert [row.received.redirected for row in verdict.pods] == [0, 0]


def test_silence_is_not_seen():
    verdict = judge(BPF, seen(pair(0, 0, 0), pair(0, 0, 0)))
    assert str(verdict) == ("Host Routing: not seen: no traffic in 10 s; let some flow, or --probe")


def test_what_pods_say_to_their_node_is_not_judged():
    stack = Counted(passed(4, 0), {"lxc1": 4}, {"lxc1": 4}, {}, {"lxc1": 4})
    verdict = judge(BPF, seen(pair(4, 4, 4), pair(0, 0, 0), stack, runs=4))
    assert verdict.host_routing == "not seen"


@pytest.mark.parametrize(
    ("past", "forwarded", "kind"),
    [(0, 0, "not seen"), (5, 0, "BPF"), (0, 5, "Legacy"), (5, 5, "mixed")],
)
def test_by_proc_alone(past, forwarded, kind):
    counted = seen(pair(10, past, 0), pair(0, 0, 0))
    verdict = judge(BPF, replace(counted, stack=None, forwarded=forwarded))
    assert verdict.host_routing == kind


@pytest.mark.parametrize(
    ("entered", "asked", "rules", "kind"),
    [
        (0, 0, Rules(), "BPF"),
        (19, 0, Rules(), "BPF"),
        (20, 0, Rules(), "not seen"),  # the node received as many itself
        (0, 20, Rules(), "not seen"),  # it was ARP
        (0, 0, Rules(flowtables=[Flowtable("inet f", "f", ("lxc1",))]), "not seen"),
        (0, 0, Rules(read=False), "not seen"),
    ],
)
def test_by_proc_alone_before_6_7(entered, asked, rules, kind):
    there = replace(BPF, kernel=replace(KERNEL, counts_peer=False), rules=rules)
    counted = seen(pair(10, 0, 0), pair(10, 0, 0), runs=20)
    counted = replace(counted, stack=None, entered=entered, asked={"lxc1": asked})
    assert judge(there, counted).host_routing == kind


def test_lines_name_all_that_is_judged():
    stack = through_stack(1, 0)
    stack.flows = [Flow("10.0.0.1", "10.0.0.2", "tcp", 80, "lxc1", "lxc2", 1)] * 30
    counted = seen(pair(10, 10, 0), pair(10, 10, 1), stack, runs=20)
    text = "\n".join([*found_lines(BPF), *seen_lines(BPF, counted, judge(BPF, counted))])
    assert "clsact ingress of lxc1, lxc2" in text
    assert "calls bpf_redirect_peer, bpf_fib_lookup" in text
    assert "tcp 80" in text
    assert "and 10 more" in text


def test_a_table_of_counters_is_one_line_and_ends_with_its_owner():
    many = [f"lxc{n}" for n in range(450)]
    hooks = [at_devices("t", hook, many) for hook in ("egress", "ingress")]
    for line in (in_stack("t"), *hooks):
        assert "\n" not in line
        assert "flags owner" in line
        assert " ct " not in line
    assert line.count("hook ingress") == 3
