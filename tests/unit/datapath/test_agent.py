# SPDX-License-Identifier: Apache-2.0
"""Descriptions of agents, and agents' first answer. Needs no root."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from harness.datapath.brought import read
from harness.datapath.brought.agent import Session
from harness.datapath.brought.agent_process import AgentProcess, Program
from harness.plumbing.errors import HarnessError
from tests.support.agents import describe

STAYS = "import signal; signal.pause()"
FORKS = "if os.fork(): os._exit(0)"

#: What is wrong → how the agent is made, the exit code, and what the line says.
FAULTS = {
    "no interpreter": ({"script": "#!/no/such/interpreter\n"}, 27, "cannot be started: No such"),
    "no program": ({"script": "words\n"}, 27, "cannot be started: Exec format error"),
    "says nothing": (
        {"start": STAYS, "deadlines": "version = 0.2"}, 27, "did not answer VERSION within 0.2 s",
    ),
    "half a line": (
        {"start": f"print('{{', end='', flush=True); {STAYS}", "deadlines": "version = 0.5"},
        27, "did not answer VERSION within 0.5 s",
    ),
    "closes its stdout": (
        {"start": f"os.close(1); {STAYS}"}, 27, "closed its stdout instead of answering VERSION",
    ),
    "no JSON": ({"fault": "answer = 0; print('ready')"}, 27, "with 'ready': no JSON"),
    "no object": ({"fault": "answer = 1"}, 27, "answered VERSION with '1': Expected `object`"),
    "no version": ({"fault": "del answer['protocol']"}, 27, "missing required field `protocol`"),
    "a key too many": ({"fault": "answer['x'] = 1"}, 27, "contains unknown field `x`"),
    "a long line": ({"fault": "answer = 'x' * (1 << 21)"}, 27, "a line longer than 1 MiB"),
    "no end of it": (
        {"start": "while True: print('x' * 65536, end='')"}, 27, "a line longer than 1 MiB",
    ),
    "two lines": (
        {"fault": "print(json.dumps(answer))"}, 27,
        """said '{"ok": true, "protocol": 1}\\n', and was not asked""",
    ),
    "no end of lines": (
        {"start": "print('{\"ok\": true, \"protocol\": 1}')\nwhile True: print('more')"}, 27,
        "said 'more\\nmore",
    ),
    "ends": ({"start": "sys.exit(3)"}, 27, "ended with status 3 instead of answering VERSION"),
    "is killed": (
        {"start": "os.kill(os.getpid(), 9)"}, 27, "was killed by signal 9 instead of answering",
    ),
    "forks away": ({"start": FORKS}, 27, "ended with status 0 (an agent stays in the foreground)"),
    "another protocol": (
        {"fault": "answer['protocol'] = 2"}, 27, "speaks protocol 2, not 1: have it speak",
    ),
    "refuses": (
        {"fault": "answer = {'ok': False, 'code': 7, 'msg': 'no\\nkernel'}"}, 27,
        "agent ./agent refused VERSION (7): no kernel",
    ),
    "unknown claim": (
        {"fault": "answer['claims'] = {'arrives': True}"}, 13,
        "agent ./agent: VERSION arrives: there is no such claim",
    ),
    "no value of a claim": (
        {"fault": "answer['claims'] = {'delivers': 'pigeon'}"}, 13, "it cannot be 'pigeon'",
    ),
    "another claim": (
        {"fault": "answer['claims'] = {'delivers': 'lxc'}"}, 13,
        "agent ./agent claims delivers = lxc, its description delivers = peer",
    ),
    "claims that contradict each other": (
        {"fault": "answer['claims'] = {'routing': 'tunnel'}"}, 13, "contradict each other: routing",
    ),
}  # fmt: skip


def refused(path):
    with pytest.raises(HarnessError) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("name", FAULTS)
def test_a_faulty_agent_is_refused_with_one_line(name, tmp_path):
    fault, code, line = FAULTS[name]
    error = refused(describe(tmp_path, **fault))
    assert line in str(error)
    assert error.exit_code == code


def test_the_end_of_what_it_wrote_to_stderr_goes_along(tmp_path):
    start = "sys.stderr.write('x' * 3_000_000 + 'the end'); sys.stderr.flush(); sys.exit(1)"
    error = refused(describe(tmp_path, start=start))
    assert error.log.endswith("xthe end")
    assert len(error.log) == 1 << 16


def _moved(path):
    (path.parent / "below").mkdir()
    (path.parent / "agent").rename(path.parent / "below" / "agent")


def _argv(value):
    def change(path):
        path.write_text(path.read_text().replace('["./agent", "an argument"]', value))

    return change


def _link(path):
    (path.parent / "agent").rename(path.parent / "real")
    (path.parent / "agent").symlink_to("real")


#: What is wrong → how that is done, and what the line says.
UNTRUSTED = {
    "not executable": (lambda p: (p.parent / "agent").chmod(0o644), "is not executable: run `chm"),
    "missing": (_moved, "[command] argv: ./agent: No such file"),
    "open to all": (lambda p: (p.parent / "agent").chmod(0o777), "others may write"),
    "open to a group": (lambda p: (p.parent / "agent").chmod(0o775), "others may write"),
    "in a directory open to all": (lambda p: p.parent.chmod(0o777), "others may write"),
    "a link": (_link, "symbolic link"),
    "above": (_argv('["../agent"]'), "does not lie below"),
    "absolute": (_argv('["/bin/true"]'), "does not lie below"),
    "a directory": (_argv('["."]'), "does not lie below"),
    "none": (_argv("[]"), "[command] argv: is empty"),
    "no list": (_argv('"./agent"'), "[command] argv: './agent' is not a list"),
    "no texts": (_argv("[1]"), "[command] argv: 1 is not a text"),
    "NUL": (_argv('["./agent", "\\u0000"]'), "is not a text"),
    "unknown key": (_argv('["./agent"]\nshell = true'), "[command] shell: is unknown: use argv"),
}


@pytest.mark.parametrize("name", UNTRUSTED)
def test_a_command_that_is_wrong_or_not_trusted_is_refused(name, tmp_path):
    change, line = UNTRUSTED[name]
    path = describe(tmp_path)
    change(path)
    error = refused(path)
    assert line in str(error)
    assert error.exit_code == 13


@pytest.mark.parametrize("line", ["add = 0", "add = -1", "add = 1e9", "add = true", "add = 'x'",
                                  "add = nan", "plus = 1", "ADD = 1"])  # fmt: skip
def test_wrong_deadlines_are_refused(line, tmp_path):
    error = refused(describe(tmp_path, deadlines=line))
    assert f"[command.deadlines] {line.split(' ')[0]}: " in str(error)
    assert error.exit_code == 13


def test_a_right_one(tmp_path):
    fault = "answer |= {'name': 'mine', 'version': sys.argv[1]} if verb == 'VERSION' else {}"
    path = describe(tmp_path, fault, deadlines="add = 5\nsync = 0.5")
    found = read(path)
    assert (found.name, found.argv) == ("faulty", ("./agent", "an argument"))
    assert found.version == "mine an argument"
    assert found.deadlines["ADD"] == 5.0
    assert found.deadlines["VERSION"] == 20.0
    assert found == read(path)
    assert dict.fromkeys([found])  # it can be a key


def test_what_it_claims_completes_the_description(tmp_path):
    claimed = "{'delivers': 'peer', 'keeps_mark': True, 'too_big': ['ipv4'], 'answers_nd': 'yes'}"
    fault = f"answer |= {{'claims': {claimed}}} if verb == 'VERSION' else {{}}"
    assert str(read(describe(tmp_path, fault)).claims) == (
        "bypasses_stack = yes; delivers = peer; forwards = neigh; keeps_mark = yes;"
        " too_big = ipv4; answers_nd = yes"
    )
    claimed = "dict(bypasses_stack=True, delivers='lxc', forwards='redirect')"
    fault = f"answer |= {{'claims': {claimed}}} if verb == 'VERSION' else {{}}"
    path = describe(tmp_path, fault, claims="")
    assert read(path).claims.delivers == "lxc"


def test_it_runs_where_it_lies_as_what_was_read(tmp_path):
    start = "import pathlib; here = pathlib.Path(__file__).resolve()"
    fault = "answer |= {'name': f'{here} {os.getcwd()}'} if verb == 'VERSION' else {}"
    found = read(describe(tmp_path, fault, start))
    assert found.version == f"{tmp_path}/agent {tmp_path}"
    with open(tmp_path / "agent", "a") as file:
        file.write("\n")
    with pytest.raises(HarnessError, match="changed since it was read"):
        Session(found)


def test_another_file_in_its_place_is_not_run(tmp_path):
    found = read(describe(tmp_path))
    (tmp_path / "another").write_text("#!/bin/false\n")
    (tmp_path / "another").replace(tmp_path / "agent")
    with pytest.raises(HarnessError, match="changed since it was read"):  # its link is gone
        Session(found)


def test_one_that_does_not_read_is_late(tmp_path):
    describe(tmp_path, start=STAYS)
    late = pytest.raises(HarnessError, match=r"it did not answer ADD within 0\.3 s")
    with AgentProcess("it", Program(tmp_path / "agent", ""), []) as process, late:
        process.ask("ADD", b"x" * (4 << 20), 0.3)


def alive(pid):
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    return False


@pytest.mark.parametrize("forking", ["os.fork()", "os.fork(); os.setsid()"])
def test_what_it_forks_ends_with_it(forking, tmp_path):
    start = (
        f"reader, writer = os.pipe()\nif not os.fork():\n    {forking.split('; ')[-1]}\n"
        f"    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"    print(open('/proc/self/stat').read().split()[0], file=open('pids', 'w'))\n"
        f"    os.write(writer, b'!')\n    signal.pause()\nos.read(reader, 1)"
    )
    path = describe(tmp_path, start=start)
    if os.geteuid():
        pytest.skip("a PID namespace takes root")
    read(path)
    pid = int((tmp_path / "pids").read_text())
    assert not alive(pid)
    control = os.fork()  # the test can tell
    if not control:
        signal.pause()
    assert alive(control)
    os.kill(control, signal.SIGKILL)
    os.waitpid(control, 0)
