# SPDX-License-Identifier: Apache-2.0
"""`inspect` on nodes of which the truth is known: what it finds, what it counts, what it says."""

import json
import os
import random
import re
import signal
import subprocess
import uuid
from contextlib import ExitStack, suppress

import pytest

from harness.attach import detach_all
from harness.bpf.symbols import read_symbols
from harness.datapath import DATAPATHS
from harness.datapath.features import release
from harness.inspect import counting, probe
from harness.inspect import found as looking
from harness.inspect.counting import StackCounters
from harness.inspect.document import SCHEMA, document
from harness.inspect.lines import found_lines, seen_lines
from harness.inspect.notes import Notes
from harness.inspect.verdict import judge
from harness.inspect.window import Window
from harness.plumbing import process
from harness.plumbing.errors import CommandError, MissingToolError
from harness.plumbing.netns import NetNS
from harness.testbed import Testbed
from harness.topology import TESTBEDS
from tests.support import foreign_programs as foreign
from tests.support.host_state import await_, await_same, settled, state
from tests.support.inspected_nodes import NODES, ask, exchange, nothing
from tests.support.run_cli import CLI, MARK, ROOT, end, start

pytestmark = pytest.mark.usefixtures("hr_machine", "hr_programs")


OWNED = (5, 12)  # the first kernel whose tables of nft may have an owner


@pytest.fixture(scope="module")
def symbols():
    return read_symbols()


@pytest.fixture
def bed():
    """A function that builds a testbed."""
    built = []

    def build(name="one_node", datapath="bpf"):
        found = DATAPATHS[datapath] if isinstance(datapath, str) else datapath
        built.append(Testbed(TESTBEDS.find(name).topology, found, name=name))
        return built[-1]

    yield build
    for testbed in built:
        testbed.close()


def node_of(testbed):
    return testbed.network.nodes[0].ns


def path_of(testbed):
    """The path by which another process finds the testbed's first node."""
    return f"/proc/{os.getpid()}/fd/{node_of(testbed).fileno()}"


def look(testbed, traffic, symbols, notes=None, *, passive=False):
    """What is found, seen and said of a testbed's first node, and what could not be looked at."""
    notes = notes or Notes()
    found = looking.find(node_of(testbed), notes, symbols)
    with Window(node_of(testbed), found, notes, passive=passive) as window:
        traffic(testbed)
        seen = window.look()
    return found, seen, judge(found, seen), notes.lines


@pytest.mark.parametrize("name", NODES)
def test_verdict_said_and_verdict_true(name, bed, symbols, tmp_path):
    node = NODES[name]
    try:
        testbed = bed(node.testbed, node.datapath(tmp_path))
    except CommandError as error:
        if not node.takes or "No such file" not in str(error):
            raise
        pytest.skip(f"the kernel has no {node.takes}")
    if node.takes and any(entry.degraded for entry in testbed.datapaths):
        pytest.skip(f"the kernel has no {node.takes}")
    node.prepare(testbed)
    found, seen, verdict, notes = look(testbed, node.traffic, symbols)
    if seen.stack is None and release(found.kernel.release) < OWNED:
        assert verdict.host_routing == (node.by_proc or node.truth), (str(verdict), seen)
    else:
        assert verdict.host_routing == node.truth, (str(verdict), verdict.pods, verdict.remarks)
        assert node.remark in " ".join(verdict.remarks)
        assert notes == []
        assert (verdict.stack > 0) == (node.truth in ("Legacy", "mixed"))
        redirecting = any(program.redirects for program in found.programs)
        assert bool(verdict.leaks) == (verdict.stack > 0 and redirecting)
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.validate(
        json.loads(json.dumps(document(found, seen, verdict, notes))),
        json.loads(SCHEMA.read_text(encoding="utf-8")),
    )
    assert found_lines(found)
    assert seen_lines(found, seen, verdict)


def programs(testbed, symbols):
    """(Device, direction, hook, order) → program."""
    found = looking.find(node_of(testbed), Notes(), symbols)
    return {(p.interface, p.direction, p.hook, p.order): p for p in found.programs}


def test_which_helpers_a_program_calls(bed, symbols):
    found = programs(bed("two_node"), symbols)
    assert list(found) == [
        ("lxc1", "ingress", "clsact", 1), ("enp0s8", "ingress", "clsact", 1),
        ("enp0s8", "egress", "clsact", 1),
    ]  # fmt: skip
    from_container, from_netdev, to_netdev = found.values()
    assert from_container.redirects == ("bpf_redirect", "bpf_redirect_neigh", "bpf_redirect_peer")
    assert "bpf_fib_lookup" in from_container.helpers
    assert "bpf_redirect_peer" in from_netdev.helpers
    assert "bpf_fib_lookup" not in from_netdev.helpers
    assert to_netdev.helpers == ()
    assert not any(each.hidden for each in found.values())
    assert all(each.loaded > 0 for each in found.values())


def test_tail_calls_are_followed(bed, symbols):
    """Controls: the program that calls it has no helper; one that lets all pass has none either."""
    testbed = bed(datapath="legacy")
    host = testbed.master.host
    for last, helpers in ((foreign.redirecting(1), ("bpf_redirect_peer",)), (None, ())):
        with foreign.tail_calling(foreign.OK, last) as fd:
            foreign.attach(host, "lxc1", fd)
            (program,) = programs(testbed, symbols).values()
            assert (program.helpers, program.tail_calls) == (helpers, 1)
        detach_all(host.ns, host.ifindex("lxc1"))


def test_several_programs_at_a_hook_stand_in_their_order(bed, symbols):
    testbed = bed(datapath="legacy")
    host = testbed.master.host
    for prio in (2, 1):
        with foreign.attached(host, "lxc1", foreign.NEXT, prio=prio):
            pass
    orders = [(order, program.id) for (*_, order), program in programs(testbed, symbols).items()]
    assert [order for order, _ in orders] == [1, 2]
    assert orders[0][1] > orders[1][1]  # that of priority 1 was loaded last


def test_what_is_there(bed, symbols):
    """Devices, addresses, rules and sysctls of a legacy node."""
    notes = Notes()
    found = looking.find(node_of(bed("two_node", "legacy")), notes, symbols)
    (pod,) = found.devices.pods
    assert (pod.lxc.name, pod.interface, pod.lxc.kind) == ("lxc1", "eth0", "veth")
    assert pod.addresses == ("10.0.1.10", "fd00:10:0:1::a")
    assert [each.name for each in found.devices.uplinks] == ["enp0s8"]
    assert {chain.name for chain in found.rules.forward} == {"FORWARD"}
    assert found.rules.kube_proxy["iptables (nft)"] > 100
    assert found.rules.masquerade > 0
    assert found.sysctls["ipv4/ip_forward"] == "1"
    assert found.programs == []
    assert notes.lines == []


def test_filters_that_are_no_programs_are_named(bed, symbols):
    """Control: only the one that mirrors is said to do so."""
    testbed = bed(datapath="legacy")
    host = testbed.master.host
    mirror = {"kind": "mirred", "direction": "egress", "action": "mirror",
              "ifindex": host.ifindex("lxc2")}  # fmt: skip
    for lxc, action in (("lxc1", {"action": mirror}), ("lxc2", {})):
        index = host.ifindex(lxc)
        host.ns.netlink.tc("add", "clsact", index)
        host.ns.netlink.tc("add-filter", "u32", index, parent=foreign.INGRESS, prio=1,
                           protocol=foreign.ALL, target=0x10000, keys=["0x0/0x0+0"],
                           **action)  # fmt: skip
    found = looking.find(host.ns, Notes(), symbols).filters
    assert [(each.interface, each.direction, each.kind, each.mirred) for each in found] == [
        ("lxc1", "ingress", "u32", True), ("lxc2", "ingress", "u32", False),
    ]  # fmt: skip


def test_leaks_are_named_and_counted(bed, symbols, tmp_path):
    node = NODES["leaks TCP alone"]
    _, _, verdict, _ = look(bed(datapath=node.datapath(tmp_path)), exchange, symbols)
    assert {flow.protocol for flow in verdict.leaks} == {"tcp"}
    assert {(flow.came, flow.went) for flow in verdict.leaks} == {("lxc1", "lxc2"),
                                                                 ("lxc2", "lxc1")}  # fmt: skip
    assert 2 * sum(flow.packets for flow in verdict.leaks) == verdict.stack


def test_a_pod_that_goes_meanwhile(bed, symbols):
    testbed = bed()

    def ask_and_delete(bed):
        ask(bed)
        bed.network.nodes[0].delete_link("lxc2")

    _, seen, verdict, notes = look(testbed, ask_and_delete, symbols)
    assert list(seen.pairs) == ["lxc1"]
    assert notes == ["lxc2: went meanwhile, and is not counted"]
    assert verdict.host_routing == "BPF"


def test_a_node_without_pods(symbols):
    with NetNS("empty") as ns:
        found = looking.find(ns, notes := Notes(), symbols)
        with Window(ns, found, notes) as window:
            seen = window.look()
    ns.close()
    verdict = judge(found, seen)
    assert str(verdict) == "Host Routing: not seen: there are no pods"


def test_passive_touches_nothing(bed, symbols):
    """Control: a window that counts has a table of nft's while it is open, and none after it."""
    testbed = bed()
    tables = []

    def note_tables(bed):
        ask(bed)
        tables.append(node_of(bed).run(["nft", "list", "tables"]))

    _, seen, verdict, _ = look(testbed, note_tables, symbols, passive=True)
    assert (seen.stack, seen.runs) == (None, {})
    assert verdict.host_routing == "BPF"  # past the lxc, and nothing was forwarded
    look(testbed, note_tables, symbols)
    note_tables(testbed)
    assert [text.count("hostroute_inspect") for text in tables] == [0, 3, 0]


@pytest.mark.parametrize(("runs", "kind"), [("bpf", "BPF"), ("legacy", "Legacy")])
def test_without_nft_the_rest_goes_on(bed, symbols, monkeypatch, runs, kind):
    testbed = bed(datapath=runs)
    found_tool = process.find_tool

    def without(name):
        if name == "nft":
            raise MissingToolError("nft is not installed", "run `apt-get install nftables`")
        return found_tool(name)

    monkeypatch.setattr(process, "find_tool", without)
    found, seen, verdict, notes = look(testbed, ask, symbols)
    assert verdict.host_routing == kind
    assert not found.rules.read
    assert seen.stack is None
    assert [line.partition(":")[0] for line in notes] == ["rules of nft", "counting in the stack"]


def test_what_nft_refuses_it_says(bed, symbols, monkeypatch):
    monkeypatch.setattr(counting, "in_stack", lambda table: f"table inet {table} {{ flags mine; }}")
    _, seen, verdict, (note,) = look(bed(), ask, symbols)
    assert note.startswith("counting in the stack: nft makes no counters in inet (Error: ")
    assert seen.stack is None
    assert verdict.host_routing == "BPF"


def run(testbed, *options, traffic=nothing, prefix=()):
    """The command on a testbed's first node, its pods talking from when it counts until it ends."""
    child = start([*prefix, *CLI, "inspect", "--netns", path_of(testbed), *options])
    first = ""
    if traffic is not nothing:
        first = child.stderr.readline()
        while child.poll() is None:
            traffic(testbed)
    ended = end(child)
    return ended, first + ended.err


@pytest.mark.parametrize(
    ("runs", "traffic", "code", "said"),
    [("bpf", ask, 0, "BPF, seen (0 of "), ("legacy", ask, 20, "Legacy, seen ("),
     ("bpf", nothing, 21, "not seen: no traffic in ")],
)  # fmt: skip
def test_require_bpf(bed, runs, traffic, code, said):
    ended, err = run(bed(datapath=runs), "--for", "2", "--require", "bpf", traffic=traffic)
    assert ended.code == code, ended.text
    assert ended.out.startswith(f"Host Routing: {said}")
    assert err.startswith("hostroute: counting for 2 s with a table of nft's")


def test_json_on_the_command_line(bed):
    jsonschema = pytest.importorskip("jsonschema")
    ended, _ = run(bed(), "--for", "2", "--json", traffic=ask)
    found = json.loads(ended.out)
    jsonschema.validate(found, json.loads(SCHEMA.read_text(encoding="utf-8")))
    assert found["seen"]["host_routing"] == "BPF"
    assert found["notes"] == []


def inside(testbed, *command):
    """A command that is started on a testbed's first node: the namespace is its own."""
    with node_of(testbed):
        return start(command)


def holding(*names):
    """Root with all capabilities but these."""
    kept = ",".join(f"-{name}" for name in names)
    return ("setpriv", f"--bounding-set={kept}", f"--inh-caps={kept}", "--")


def capabilities_of_the_daemonset():
    text = (ROOT / "examples" / "inspect" / "daemonset.yml").read_text(encoding="utf-8")
    (names,) = re.findall(r"^ +add: \[(.*)\]$", text, re.M)
    return re.findall(r"\w+", names)


def with_only(names):
    kept = ",".join(["-all", *(f"+{name.lower()}" for name in names)])
    return ("setpriv", f"--bounding-set={kept}", "--inh-caps=-all", "--")


def test_the_daemonset_has_the_capabilities_that_it_takes(bed):
    prefix = with_only(capabilities_of_the_daemonset())
    ended, _ = run(bed(), "--for", "2", traffic=ask, prefix=prefix)
    assert ended.out.startswith("Host Routing: BPF, seen (0 of "), ended.text
    assert "not looked at" not in ended.out
    ended, _ = run(bed(), "--probe", "lxc1", "lxc2", prefix=prefix)
    assert "fits peer" in ended.out, ended.text


@pytest.mark.parametrize("name", capabilities_of_the_daemonset())
def test_each_of_them_is_missed(bed, name):
    """Control: a probe without one of them is refused, or names what it could not look at."""
    names = [each for each in capabilities_of_the_daemonset() if each != name]
    ended, _ = run(bed(), "--probe", "lxc1", "lxc2", prefix=with_only(names))
    assert "Traceback" not in ended.err
    assert ended.code != 0 or "not looked at" in ended.out, ended.text


def test_without_syslog_helpers_are_hidden(bed):
    """And are said to be: hidden is not none. What is counted shows it all the same."""
    ended, _ = run(bed(), "--for", "2", traffic=ask, prefix=holding("syslog"))
    assert ended.out.startswith("Host Routing: BPF, seen (0 of "), ended.text
    assert "which helpers it calls is hidden" in ended.out
    assert "not looked at: helpers: /proc/kallsyms shows no addresses" in ended.out


def test_without_net_admin_there_is_a_line_for_each_thing(bed):
    ended, _ = run(bed(), "--for", "0.1", prefix=holding("net_admin"))
    assert (ended.code, ended.err.count("Traceback")) == (0, 0), ended.text
    said = [line for line in ended.out.splitlines() if "not looked at: " in line]
    for what in ("pods' own ends", "rules of nft", "counting in the stack"):
        assert any(what in line for line in said), ended.text


def test_without_sys_admin_another_namespace_is_refused_and_the_own_is_not(bed):
    ended, _ = run(bed(), "--for", "0.1", prefix=holding("sys_admin"))
    assert ended.code == 10, ended.text
    assert ended.err.count("\n") <= 2
    own = end(inside(bed(), *holding("sys_admin"), *CLI, "inspect", "--for", "0.1"))
    assert own.code == 0, own.text
    assert own.out.startswith("Host Routing: not seen")


def test_without_any_capability(bed):
    """What everybody may read is shown."""
    nobody = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--")
    ended = end(inside(bed(), *nobody, *CLI, "inspect", "--for", "0.1"))
    assert ended.code == 0, ended.text
    assert "Traceback" not in ended.err
    assert "not looked at: helpers" in ended.out
    assert "  kernel " in ended.out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--netns", "nowhere"], 13, "there is no network namespace 'nowhere'"),
        (["--netns", "4194399"], 13, "there is no network namespace '4194399'"),
        (["--netns", "/etc/passwd"], 13, "/etc/passwd is not a network namespace"),
        (["--netns", "/proc/self/ns/pid"], 13, "is not a network namespace"),
        (["--netns", ".."], 13, "there is no network namespace"),
        (["--for", "nan"], 13, "--for nan is out of range"),
        (["--for", "-1"], 13, "--for -1 is out of range"),
        (["--for", "1e9"], 13, "--for 1e+09 is out of range"),
        (["--for", "soon"], 2, "invalid float value"),
        (["--require", "cilium"], 13, "--require 'cilium' is unknown: use bpf"),
        (["--require", "bpf", "--passive"], 13, "--passive looks at nothing"),
    ],
)
def test_wrong_arguments_are_one_line(arguments, code, said):
    ended = end(start([*CLI, "inspect", *arguments]))
    assert ended.code == code, ended.text
    assert said in ended.err
    assert (ended.err.count("\n"), ended.out) == (1, "")


def test_two_at_once_do_not_disturb_each_other(bed):
    testbed = bed()
    command = [*CLI, "inspect", "--netns", path_of(testbed), "--for", "2"]
    other = start(command)
    ended, _ = run(testbed, "--for", "2", traffic=ask)
    assert ended.out.startswith("Host Routing: BPF"), ended.text
    assert "not looked at" not in end(other).out


def probed(testbed, symbols, one="lxc1", two="lxc2"):
    """What a probe between two pods of a testbed says, and what could not be looked at."""
    notes = Notes()
    node = node_of(testbed)
    found = looking.find(node, notes, symbols)
    with ExitStack() as closing:
        ends = [
            closing.enter_context(probe.end(node, found, wanted, name))
            for wanted, name in ((one, "pod1"), (two, "pod2"))
        ]
        seen, rows = probe.probe(node, found, notes, *ends)
    return rows, judge(found, seen), notes.lines


FLOWS = {"ping IPv4", "ping IPv6", "datagrams IPv4", "datagrams IPv6"}


@pytest.mark.parametrize(
    ("runs", "fits"),
    [("legacy", "stack"), ("bpf", "peer"), ("bpf-redirect", "lxc"), ("bpf-tcx", "peer"),
     ("bpf-netkit", "netkit")],
)  # fmt: skip
def test_a_probe_says_which_delivery_it_fits(bed, symbols, runs, fits):
    testbed = bed(datapath=runs)
    if any(entry.degraded for entry in testbed.datapaths):
        pytest.skip("the kernel has no CONFIG_NETKIT (since 6.7)")
    (row,), verdict, notes = probed(testbed, symbols)
    assert (set(row.flows), row.lost, row.fits, row.odd) == (FLOWS, 0, (fits,), ())
    assert row.forwarded == (4 * 2 * probe.COUNT if fits == "stack" else 0)
    assert verdict.host_routing == ("Legacy" if fits == "stack" else "BPF")
    assert notes == []


@pytest.mark.parametrize(
    ("runs", "fits"), [("legacy", "stack"), ("bpf", "peer"), ("bpf-redirect", "lxc")]
)
def test_a_probe_off_the_node(bed, symbols, runs, fits):
    testbed = bed("two_node", runs)
    far = f"/proc/{os.getpid()}/fd/{testbed.network.pods[1].ns.fileno()}"
    (row,), _, _ = probed(testbed, symbols, two=far)
    assert (set(row.flows), row.lost, row.fits, row.odd) == (FLOWS, 0, (fits,), ())


def test_a_probe_begins_at_a_pod_of_the_node(bed):
    testbed = bed("two_node")
    far = f"/proc/{os.getpid()}/fd/{testbed.network.pods[1].ns.fileno()}"
    ended, err = run(testbed, "--probe", far, "lxc1")
    assert (ended.code, ended.out) == (13, ""), ended.text
    assert "is not a pod of this node: name the node's pod first" in err


def test_a_probe_that_fits_nothing_says_what_is_odd(bed, symbols, tmp_path):
    """Requests are forwarded by the stack, replies are not."""
    node = NODES["leaks one direction"]
    (row,), verdict, _ = probed(bed(datapath=node.datapath(tmp_path)), symbols)
    assert row.fits == ()
    assert row.forwarded == 4 * probe.COUNT
    assert row.odd[0] == "most like stack, but for these:"
    assert any("missing: > reply" in line for line in row.odd)
    assert verdict.host_routing == "mixed"


def test_flows_that_are_unlike_stand_apart(bed, symbols, tmp_path):
    node = NODES["leaks one family"]
    rows, _, _ = probed(bed(datapath=node.datapath(tmp_path)), symbols)
    fits = {flow: row.fits for row in rows for flow in row.flows}
    assert fits == {flow: ("peer",) if "IPv4" in flow else ("stack",) for flow in FLOWS}


def test_pods_that_may_not_talk(bed, symbols):
    testbed = bed(datapath="legacy")
    with foreign.attached(testbed.master.host, "lxc1", foreign.SHOT):
        (row,), _, _ = probed(testbed, symbols)
    assert row.lost == 4 * probe.COUNT
    assert any("had no answer: may they talk?" in line for line in row.odd)


def test_a_probe_on_the_command_line(bed):
    """Pods are found by their devices, whoever holds their namespaces."""
    testbed = bed()
    child = [*CLI, "inspect", "--netns", path_of(testbed), "--probe", "lxc1", "lxc2"]
    shown, spoken = end(start(child)), end(start([*child, "--json"]))
    assert shown.code == 0, shown.text
    assert shown.err.startswith("hostroute: sending 5 pings and 5 datagrams from ")
    assert "fits peer (bpf_redirect_peer into the pod)" in shown.out
    jsonschema = pytest.importorskip("jsonschema")
    found = json.loads(spoken.out)
    jsonschema.validate(found, json.loads(SCHEMA.read_text(encoding="utf-8")))
    assert [row["fits"] for row in found["probe"]] == [["peer"]]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--probe", "lxc1", "lxc9"], "there is neither a pod's device nor a namespace"),
        (["--probe", "nowhere", "lxc1"], "there is neither a pod's device nor a namespace"),
        (["--probe", "lxc1", "lxc2", "--passive"], "--probe with --passive makes no sense"),
        (["--probe", "lxc1", "lxc2", "--for", "5"], "--probe with --for makes no sense"),
        (["--watch", "--json"], "--watch with --json makes no sense"),
    ],
)
def test_wrong_probes_are_one_line(bed, arguments, said):
    ended, err = run(bed(), *arguments)
    assert (ended.code, ended.out) == (13, ""), ended.text
    assert said in err
    assert err.count("\n") == 1


def test_watch_until_interrupted_and_then_the_verdict(bed):
    """A line a second, where there is no terminal; Ctrl-C, which all children get, is no error."""
    testbed = bed()
    child = start(
        [*CLI, "inspect", "--netns", path_of(testbed), "--watch", "--require", "bpf"],
        start_new_session=True,
    )
    child.stderr.readline()
    ask(testbed)
    first = child.stdout.readline()
    while "BPF" not in first:
        ask(testbed)
        first = child.stdout.readline()
    os.killpg(child.pid, signal.SIGINT)
    ended = end(child)
    assert ended.code == 0, ended.text
    assert "not looked at" not in ended.out
    assert "  seen in " in ended.out
    assert any(line.startswith("Host Routing: BPF") for line in ended.out.splitlines())


#: Seconds from the start, by a seed that is in the test's name: before, while and after it begins
#: to count.
def moments(count, seed=23):
    return [round(random.Random(seed + at).uniform(0.3, 4.0), 3) for at in range(count)]


@pytest.mark.parametrize("moment", moments(3))
def test_killed_at_any_moment_nothing_is_left(bed, moment):
    kill_at(bed, moment)


@pytest.mark.slow
@pytest.mark.parametrize("moment", moments(20, seed=1000))
def test_killed_at_twenty_moments_nothing_is_left(bed, moment):
    kill_at(bed, moment)


def kill_at(bed, moment):
    """Kill the command at a moment: the machine is as before, and so is the node."""
    testbed = bed()
    mark = uuid.uuid4().hex
    before, inside = settled(mark), state_of_node(testbed)
    child = start(
        [*CLI, "inspect", "--netns", path_of(testbed), "--for", "60"], {MARK: mark},
    )  # fmt: skip
    with suppress(subprocess.TimeoutExpired):
        child.wait(moment)
    child.kill()
    end(child)
    assert await_same(before, mark) == {}
    assert await_(lambda: state_of_node(testbed) == inside), (state_of_node(testbed), inside)


def state_of_node(testbed):
    """What a killed command could leave on a node: links, filters, rules, sysctls."""
    with node_of(testbed):
        found = state("none")
    return {kind: found[kind] for kind in ("links", "qdiscs", "filters", "rules", "sysctls",
                                           "addresses", "routes")}  # fmt: skip


def test_what_a_killed_command_could_leave_is_seen(bed):
    """Control: a table that another process holds is a difference."""
    testbed = bed()
    before = state_of_node(testbed)
    with StackCounters(node_of(testbed), ["lxc1"]):
        assert state_of_node(testbed)["rules"] != before["rules"]
    assert await_(lambda: state_of_node(testbed) == before)
