# SPDX-License-Identifier: Apache-2.0
"""Agents on real testbeds: what they are told, what goes wrong with them, and what is left."""

import json
import os
import signal
import sys
import uuid
from contextlib import closing

import pytest

from harness.datapath import NodeSettings, Service
from harness.datapath.brought import protocol, read
from harness.plumbing import pid_namespace
from harness.plumbing.errors import AgentError, HarnessError
from harness.testbed import Testbed
from harness.topology import Topology
from tests.support.agents import CLAIMS, describe
from tests.support.host_state import await_, await_same, marked, settled
from tests.support.run_cli import MARK, end, pytest_of, start
from tests.support.stopped_run import FIRST, Moment, Run

pytestmark = pytest.mark.usefixtures("hr_machine")
TWO_NODES = Topology(nodes=2)
#: Starts a session of its own, in which a child stays that no signal but SIGKILL ends.
LEAVES_A_CHILD = """
    if verb == "ADD" and not os.fork():
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.execlp("sleep", "sleep", "600")"""


@pytest.fixture
def nothing_left(monkeypatch):
    """Fails the test when the machine is not as it was, or a process lives that it started."""
    mark = uuid.uuid4().hex
    monkeypatch.setenv(MARK, mark)
    before = settled(mark)

    def children():
        # The first process of this thread's own PID namespace stays, for tools.
        return {pid: command for pid, command in marked(mark).items() if command != FIRST}

    yield
    assert await_(lambda: not children()), children()
    assert await_same(before, mark) == {}


def test_a_right_one_is_told_everything_once_and_then_what_changed(tmp_path, nothing_left):
    fault = """
    if verb == "STATUS":
        answer["text"] = "well"
    with open("said", "a") as file:
        file.write(line)"""
    datapath = read(describe(tmp_path, fault))
    (tmp_path / "said").unlink()
    with Testbed(Topology(nodes=2, pods_per_node=2, world=True), datapath, insist=True) as testbed:
        master = testbed.network.nodes[0]
        master.add_address("lo", "10.99.0.1", 32)
        testbed.datapath_of("master").installed.sync()
        assert "faulty (agent " in testbed.datapath_of("node1").installed.describe()
        report = testbed.datapath_of("node1").installed.report()
        assert report == {"agent (faulty)": "well"}
    said = [json.loads(line) for line in (tmp_path / "said").read_text().splitlines()]
    assert [each["verb"] for each in said] == ["ADD", "SYNC", "STATUS", "DEL"]
    jsonschema = pytest.importorskip("jsonschema")  # the harness itself does without
    judge = jsonschema.Draft202012Validator(
        {"$ref": "#/$defs/REQUEST", "$defs": protocol.schema()["$defs"]}
    )
    assert [error.message for each in said for error in judge.iter_errors(each)] == []
    add, sync = said[:2]
    assert [node["name"] for node in add["nodes"]] == ["master", "node1"]
    first = add["nodes"][0]
    assert [pod["ipv4"] for pod in first["pods"]] == ["10.0.1.10", "10.0.1.11"]
    kinds = {each["name"]: each["kind"] for each in first["interfaces"]}
    assert kinds == {"lo": "loopback", "lxc1": "pod", "lxc2": "pod", "enp0s8": "uplink"}
    route = {"type": "unicast", "interface": "enp0s8", "gateway": "192.168.56.12"}
    assert {"destination": "10.0.2.0/24", **route} in first["routes"]
    assert any(
        each["address"] == "10.0.1.10" and each["interface"] == "lxc1"
        for each in first["neighbours"]
    )
    (changed,) = sync["nodes"]
    own = next(each for each in changed["interfaces"] if each["name"] == "lo")
    assert "10.99.0.1/32" in own["addresses"]


def test_it_is_told_of_other_services(tmp_path, nothing_left):
    fault = """
    with open("said", "a") as file:
        file.write(line)"""
    datapath = read(describe(tmp_path, fault, claims=f"{CLAIMS}\nservices = true"))
    (tmp_path / "said").unlink()
    first, second = (Service("172.16.200.1", port, "udp") for port in (80, 81))
    settings = NodeSettings(services="bpf", used_services=(first,))
    with Testbed(Topology(), datapath, insist=True, settings=settings) as testbed:
        testbed.serve((second,))
    said = [json.loads(line) for line in (tmp_path / "said").read_text().splitlines()]
    told = [(each["verb"], each["settings"]["used_services"][0]["port"]) for each in said[:-1]]
    assert told == [("ADD", 80), ("SYNC", 81)]


#: What is wrong → how the agent is made, the exit code, and what the line says.
ADD = 'if verb == "ADD": '
FAULTS = {
    "refuses": (
        {"fault": ADD + "answer = {'ok': False, 'code': 'EPERM', 'msg': 'no'}"}, 27,
        "faulty: agent ./agent refused ADD (EPERM): no",
    ),
    "late": (
        {"fault": ADD + "signal.pause()", "deadlines": "add = 0.3"}, 27,
        "did not answer ADD within 0.3 s: raise its deadline in [command.deadlines]",
    ),
    "ends": ({"fault": ADD + "sys.exit(7)"}, 27, "ended with status 7 instead of answering ADD"),
    "dies": (
        {"fault": ADD + "os.kill(os.getpid(), signal.SIGSEGV)"}, 27,
        "was killed by signal 11 instead of answering ADD",
    ),
    "answers and ends": (
        {"fault": ADD + "print(json.dumps(answer), flush=True); sys.exit(0)"}, 27,
        "ended with status 0 (an agent stays in the foreground)",
    ),
    "forks away": (
        {"fault": ADD + "os.fork() and os._exit(0)"}, 27, "(an agent stays in the foreground)",
    ),
    "no JSON": ({"fault": ADD + "answer = 0; print('added', end='')"}, 27, "with 'added0': no"),
    "too much": ({"fault": ADD + "answer = 'x' * (1 << 21)"}, 27, "a line longer than 1 MiB"),
    "a second line": (
        {"fault": ADD + "print(json.dumps(answer))"}, 27, "and was not asked: have it answer in",
    ),
    "unknown claim": (
        {"fault": ADD + "answer['claims'] = {'arrives': True}"}, 13,
        "faulty: agent ./agent: ADD arrives: there is no such claim",
    ),
    "another claim": (
        {"fault": ADD + "answer['claims'] = {'keeps_mark': True}"}, 13,
        "claims keeps_mark = yes in its answer to ADD, and is judged by keeps_mark = no",
    ),
    "refuses DEL": (
        {"fault": 'if verb == "DEL": answer = {"ok": False, "msg": "stays"}'}, 27,
        "refused DEL: stays",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_faulty_one_is_one_line_and_leaves_nothing(name, tmp_path, nothing_left):
    fault, code, line = FAULTS[name]
    fault = {**fault, "fault": LEAVES_A_CHILD + "\n    " + fault["fault"]}
    datapath = read(describe(tmp_path, **fault))
    with pytest.raises(HarnessError) as caught:
        Testbed(TWO_NODES, datapath).close()
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == code


def test_what_an_agent_leaves_would_be_noticed(tmp_path, monkeypatch):
    """The control: without a PID namespace of its own, what it forked away survives it."""
    mark = uuid.uuid4().hex
    monkeypatch.setenv(MARK, mark)

    def refused(_setpriv):
        raise pid_namespace.RefusedError

    monkeypatch.setattr(pid_namespace, "PidNamespace", refused)
    Testbed(TWO_NODES, read(describe(tmp_path, LEAVES_A_CHILD))).close()
    noticed = await_(lambda: list(marked(mark).values()) == ["sleep 600"])
    for pid in marked(mark):
        os.kill(pid, signal.SIGKILL)
    assert noticed
    assert await_(lambda: not marked(mark))


def test_what_it_writes_to_stderr_never_makes_it_wait_for_us(tmp_path, nothing_left):
    fault = ADD + "sys.stderr.write('x' * 3_000_000 + 'the end'); sys.stderr.flush()"
    with Testbed(TWO_NODES, read(describe(tmp_path, fault))) as testbed:
        report = testbed.datapath_of("master").installed.report()
    assert report["agent's stderr (faulty)"].endswith("xthe end")


def test_an_agent_that_dies_is_named_when_the_testbed_ends(tmp_path, nothing_left):
    fault = 'answer |= {"text": str(os.getpid())} if verb == "STATUS" else {}'
    testbed = Testbed(TWO_NODES, read(describe(tmp_path, fault)))
    child = testbed.datapath_of("master").installed._session._process._child
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    with pytest.raises(AgentError, match=r"was killed by signal 9 before DEL"):
        testbed.close()
    testbed.close()  # what is closed stays so


#: Makes a pair of devices in each node for each verb, and takes away what ADD made.
MAKES_DEVICES = """
    for node in request.get("nodes", []):
        argv = [sys.argv[1], "pair.py", verb.lower()]
        subprocess.run(["nsenter", "--net=" + node["netns"], *argv], check=True)"""
PAIR = """
import sys
from pyroute2 import IPRoute
with IPRoute(groups=0) as netlink:
    name = sys.argv[1] + "0"
    netlink.link("add", kind="veth", ifname=name, peer=sys.argv[1] + "1")
    netlink.link("set", index=netlink.link_lookup(ifname=name)[0], state="up")
    if name == "sync0":
        netlink.link("del", index=netlink.link_lookup(ifname="add0")[0])
"""


def captured(testbed):
    with testbed.capture() as seen:
        pass
    return {path.name for path in seen.directory.glob("master-*.in.pcap")}


def test_devices_that_it_makes_are_captured(tmp_path, nothing_left):
    (tmp_path / "pair.py").write_text(PAIR, encoding="ascii")
    path = describe(tmp_path, MAKES_DEVICES)
    path.write_text(path.read_text().replace("an argument", sys.executable))
    with Testbed(Topology(nodes=1), read(path)) as testbed:
        assert captured(testbed) == {"master-lxc1.in.pcap", "master-add0.in.pcap"}  # add1 is down
        testbed.datapath_of("master").installed.sync()
        assert captured(testbed) == {"master-lxc1.in.pcap", "master-sync0.in.pcap"}


TEST = """
import os, signal

def test_it(two_node, datapath):
    with two_node.capture():
        two_node.pod1.ping(two_node.pod2)
        {killing}
    assert {passes}, "it"
"""
KILLING = (
    "child = two_node.datapath_of('master').installed._session._process._child;"
    " os.kill(child.pid, signal.SIGKILL); child.wait()"
)


def run(directory, passes, fault="pass", killing=""):
    """Run a test in a child's pytest, on an agent's datapath."""
    text = TEST.format(passes=passes, killing=killing)
    (directory / "test_child.py").write_text(text, encoding="ascii")
    path = describe(directory, fault, claims="")
    arguments = pytest_of(
        "-q", "-p", "pytest_hostroute", f"--hr-bring={path}", "--hr-datapath", "faulty",
        str(directory / "test_child.py"), rootdir=directory,
    )  # fmt: skip
    return end(start(arguments, {"PYTEST_ADDOPTS": ""}))


SAYS = 'answer |= {"text": "two nodes"} if verb == "STATUS" else {}; print(verb, file=sys.stderr)'


def test_a_failed_test_shows_status_and_stderr(tmp_path):
    ended = run(tmp_path, False, SAYS)
    assert ended.code == 1
    assert "agent (faulty)" in ended.out
    assert "\ntwo nodes\n" in ended.out
    assert "agent's stderr (faulty)" in ended.out
    assert "\nADD\nSTATUS\n" in ended.out


@pytest.mark.parametrize("passes", [True, False])
def test_an_agent_killed_in_mid_test_is_an_error_of_one_line(passes, tmp_path, nothing_left):
    ended = run(tmp_path, passes, killing=KILLING)
    assert ended.code == 1
    verb = "DEL" if passes else "STATUS"
    assert f"test_child.py: faulty: agent ./agent was killed by signal 9 before {verb}" in ended.out
    assert "Traceback" not in ended.text
    assert f"1 {'passed' if passes else 'failed'}," in ended.out
    assert ", 1 error in" in ended.out


@pytest.mark.parametrize("verb", ["VERSION", "ADD", "DEL"])
def test_one_that_answers_wrongly_ends_the_run_with_its_code(verb, tmp_path, nothing_left):
    ended = run(tmp_path, True, f'answer = 0 if verb == "{verb}" else answer')
    assert ended.code == 27
    (line,) = [line for line in ended.text.splitlines() if "agent ./agent" in line]
    assert f"hostroute: faulty: agent ./agent answered {verb} with '0'" in line


def stopped(directory):
    """A run that stands still in the middle of a test, with an agent that has left a child."""
    path = describe(directory, LEAVES_A_CHILD, claims="", name="brought")
    options = (f"--hr-bring={path}",)
    moment = Moment("harness.testbed.actor:ping", datapath="brought", options=options)
    test = TEST.format(killing="", passes=True)
    return Run(moment, directory, test)


@pytest.mark.parametrize("way", ["kill", "interrupt", "go_on"])
def test_nothing_is_left_of_an_agent_when_the_run_ends(way, tmp_path, nothing_left):
    with closing(stopped(tmp_path)) as run:
        commands = [command for command in run.processes.values() if command != FIRST]
        assert any(str(tmp_path / "agent") in each or "fd/" in each for each in commands), commands
        assert any(each.startswith("sleep 600") for each in commands), commands
        getattr(run, way)()
        assert await_(lambda: not run.remains()), run.remains()
