# SPDX-License-Identifier: Apache-2.0
"""The command line on a machine that can hold a testbed."""

import dataclasses
import json
import signal
import subprocess
import uuid

import pytest

from harness.bpf.source import Patch
from harness.cli import INTERRUPTED, main
from harness.cli.proof import prove
from harness.datapath import DATAPATHS, HostRouting, NodeSettings
from harness.datapath.features import FEATURES, HELPERS, running_kernel
from harness.plumbing.errors import LEGACY, NOT_PROVEN
from tests.support.host_state import await_same, marked, namespaces_of, settled
from tests.support.run_cli import CLI, DEADLINE, MARK, end, start

pytestmark = pytest.mark.usefixtures("hr_machine")

LEGACY_PROVEN = "proven: Legacy, through the node's stack"
BYPASS = [name for name, datapath in DATAPATHS.items() if datapath.claims.bypasses_stack]


def status(capsys, *arguments):
    code = main(["status", *arguments])
    return code, capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("name", BYPASS)
def test_status_is_bpf_and_proven(name, capsys, require_feature):
    for need in sorted(DATAPATHS[name].needs):
        require_feature(need)
    code, lines = status(capsys, "--datapath", name, "--verify")
    assert code == 0
    assert lines[0] == "Host Routing: BPF"
    assert lines[-1] == "proven: BPF, past the node's stack"
    for device in ("lxc", "enp0s8"):  # of both families: two nodes' two hooks, and three nodes' lxc
        assert sum(line.startswith(f"  attached   {device}") for line in lines) == 8


def test_services_in_bpf_are_bpf_and_proven(capsys):
    code, lines = status(capsys, "--services", "bpf", "--verify")
    assert code == 0
    assert lines[0] == "Host Routing: BPF"
    assert "  services        met    service translation (kube-proxy replacement) in BPF" in lines
    assert "one ipv4 datagram to a service on one_node, master" in lines
    assert lines[-1] == "proven: BPF, past the node's stack"


def test_services_that_nobody_translates_are_not_proven():
    patch = Patch("service.c", " *found = services4.lookup(&key);", " *found = NULL;")
    whole = DATAPATHS["bpf"]
    assert isinstance(whole, HostRouting)
    mutant = dataclasses.replace(whole, patches=(patch,))
    asked = NodeSettings(services="bpf")
    proof = prove(mutant, asked, running_kernel(HELPERS), claimed=True)
    assert "one_node master ipv4: the datagram to a service was not answered" in proof.doubts
    assert not [doubt for doubt in proof.doubts if "ipv6" in doubt]


def test_status_of_legacy_is_proven_too(capsys):
    code, lines = status(capsys, "--datapath", "legacy", "--verify")
    assert code == 0
    assert lines[0] == "Host Routing: Legacy (asked for)"
    assert lines[-1] == LEGACY_PROVEN


@pytest.mark.parametrize("command", [("status", "--verify"), ("shell", "one_node")], ids=" ".join)
def test_nothing_is_left_to_the_collector_by(command):
    ended = end(start((*CLI, *command), {"PYTHONWARNINGS": "error,ignore::SyntaxWarning"}))
    assert (ended.code, ended.err) == (0, "")


#: Arguments that leave one requirement unmet → what the first line says.
UNMET: dict[tuple[str, ...], str] = {
    ("--no-host-routing",): "switched off by the user",
    ("--routing", "tunnel"): "tunnel mode is not built into these programs",
    ("--routing", "none"): "neither direct routing nor a tunnel is configured",
    ("--services", "iptables"): "service translation (kube-proxy replacement) is done by iptables",
    ("--masquerade", "iptables"): "masquerading is done by iptables",
    **{
        ("--without", name): f"the kernel lacks bpf_{name} (since {FEATURES[name].since}):"
        " taken away by --without"
        for name in DATAPATHS["bpf"].needs
    },
}


@pytest.mark.parametrize("arguments", UNMET, ids=" ".join)
def test_status_is_legacy_for_each_single_unmet_requirement(arguments, capsys):
    code, lines = status(capsys, *arguments)
    assert code == 0
    assert lines[0] == f"Host Routing: Legacy ({UNMET[arguments]})"
    assert sum(" UNMET " in line for line in lines) == 1
    assert main(["status", *arguments, "--require", "bpf"]) == LEGACY


def test_a_degraded_node_is_proven_to_run_legacy(capsys):
    code, lines = status(capsys, "--no-host-routing", "--verify")
    assert code == 0
    assert lines[-1] == LEGACY_PROVEN
    assert "  attached   nothing" in lines


def test_status_for_machines_says_the_same(capsys):
    code, lines = status(capsys, "--json", "--verify", "--without", "redirect_neigh")
    document = json.loads("\n".join(lines))
    assert code == 0
    assert document["host_routing"] == "Legacy"
    assert len(document["reasons"]) == 1
    assert [r["requirement"] for r in document["requirements"] if not r["met"]] == [
        "redirect_neigh"
    ]
    assert document["proof"]["proven"]
    assert document["proof"]["claim"] == "Legacy"
    assert document["proof"]["passages"][0]["netfilter"]["forward"] == 2


def test_bpf_that_lets_the_stack_do_the_work_is_not_proven(monkeypatch, capsys):
    """The control: programs attached and running, yet every packet takes the stack."""
    patch = Patch("from_container.c", "	switch (bpf_ntohs(skb->protocol)) {",
                  "	if (pod_of(skb))\n\t\treturn to_stack(PROGRAM_FROM_CONTAINER);\n"
                  "	switch (bpf_ntohs(skb->protocol)) {")  # fmt: skip
    whole = DATAPATHS["bpf"]
    assert isinstance(whole, HostRouting)
    mutant = dataclasses.replace(whole, patches=(patch,))
    proof = prove(mutant, NodeSettings(), running_kernel(HELPERS), claimed=True)
    assert not proof.proven
    assert any("netfilter saw packets" in doubt for doubt in proof.doubts)
    assert any("the programs delivered 0 packets, not 2" in doubt for doubt in proof.doubts)
    monkeypatch.setitem(DATAPATHS, "bpf", mutant)
    code, lines = status(capsys, "--verify")
    assert code == NOT_PROVEN
    assert lines[0] == "Host Routing: BPF"
    assert lines[-1].startswith("not proven (one_node master ipv4: ")


def test_bpf_that_leaves_what_goes_off_the_node_to_the_stack_is_not_proven():
    patch = Patch("forward.c", "	if (!node)\n", "	if (node)\n")
    whole = DATAPATHS["bpf"]
    assert isinstance(whole, HostRouting)
    mutant = dataclasses.replace(whole, patches=(patch,))
    proof = prove(mutant, NodeSettings(), running_kernel(HELPERS), claimed=True)
    assert "two_node node1 ipv6: the programs sent off the node 0 packets, not 1" in proof.doubts
    assert not [doubt for doubt in proof.doubts if doubt.startswith("one_node")]


def test_a_legacy_control_that_is_silent_proves_nothing(monkeypatch, capsys):
    """The control's control: counters that never move would pass everything."""
    monkeypatch.setitem(DATAPATHS, "legacy", DATAPATHS["bpf-redirect"])
    code, lines = status(capsys, "--verify")
    assert code == NOT_PROVEN
    assert "the legacy control: netfilter saw nothing" in lines[-1]


def shell(script, *arguments, mark=""):
    """`hostroute shell` with a script on stdin, its output and its exit code."""
    child = start(
        (*CLI, "shell", *arguments), {"SHELL": "/bin/sh", MARK: mark}, stdin=subprocess.PIPE
    )
    out, err = child.communicate(script, timeout=DEADLINE)
    return child.returncode, out, err


def test_shell_runs_in_the_host_and_passes_its_status_on():
    code, out, err = shell("cat /proc/net/fib_trie; exit 3\n", "two_node", "pod2")
    assert code == 3, err
    assert "10.0.2.10" in out
    assert "192.168.56.11" not in out
    assert sum("nsenter --net=/proc/" in line for line in out.splitlines()) == 4
    assert out.splitlines()[0].startswith("master: Host Routing: BPF; ")


def test_shell_leaves_nothing_behind_not_even_what_was_started_in_it():
    mark = uuid.uuid4().hex
    before = settled(mark)
    code, _, err = shell("sleep 1000 >/dev/null 2>&1 &\n", "one_node", mark=mark)
    assert code == 0, err
    assert await_same(before, mark) == {}


def inside(mark, script=""):
    """`hostroute shell` that has come up and run a script."""
    child = start((*CLI, "shell", "one_node"), {"SHELL": "/bin/sh", MARK: mark},
                  stdin=subprocess.PIPE)  # fmt: skip
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(f"{script}echo inside\n")
    child.stdin.flush()
    while child.stdout.readline() != "inside\n":
        assert child.poll() is None
    return child


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_shell_whose_terminal_is_closed_leaves_nothing_behind(number):
    mark = uuid.uuid4().hex
    before = settled(mark)
    child = inside(mark, "nohup sleep 1000 >/dev/null 2>&1 &\n")
    child.send_signal(number)
    _, err = child.communicate(timeout=DEADLINE)
    assert child.returncode == INTERRUPTED, err
    assert await_same(before, mark) == {}


def test_a_killed_shell_leaves_nothing_behind():
    """Not even what ran in its background, which would keep its namespace alive."""
    mark = uuid.uuid4().hex
    before = settled(mark)
    child = inside(mark, "setsid sleep 1000 >/dev/null 2>&1 &\n")
    # Besides itself and what was started in it: what holds its tools' PID namespace, and what ends
    # the inhabitants of the namespaces.
    commands = [marked(mark)[pid] for pid in sorted(marked(mark))]
    others = [command for command in commands[1:] if not command.endswith("/cat")]
    (watcher,) = [command for command in others if "inhabitants.py" in command]
    started = {"setsid sleep 1000", "sleep 1000"}  # the one becomes the other
    assert set(others) - {watcher} - started == {"/bin/sh"}
    assert len(namespaces_of(child.pid)) == 3
    child.kill()
    child.communicate(timeout=DEADLINE)
    assert await_same(before, mark) == {}


def test_an_unknown_host():
    code, out, err = shell("", "one_node", "node1")
    assert code == 13
    assert err == "hostroute: host 'node1' is unknown: use master, pod1, pod2\n"
    assert out == ""
