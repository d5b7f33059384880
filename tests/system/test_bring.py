# SPDX-License-Identifier: Apache-2.0
"""`--bring`: bad input is one line with a documented exit code, and leaves nothing behind."""

import gc
import hashlib
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from harness import results
from harness.bpf import pool
from harness.datapath import DATAPATHS, find
from harness.datapath.brought import bring, read
from harness.plumbing.errors import BuildError, HarnessError
from harness.testbed import Testbed
from harness.topology import TESTBEDS
from tests.support import elf_example
from tests.support.elf_example import (
    HASH,
    TINY,
    attach,
    compiled,
    counting,
    describe,
    example,
    open_files,
)
from tests.support.host_state import await_, await_same, settled
from tests.support.run_cli import CLI, ROOT, end, pytest_of, start
from tests.support.stopped_run import Moment, Run

pytestmark = pytest.mark.usefixtures("hr_machine", "hr_programs")
ONE_TEST = ("testbeds/one_node/test_legs.py", "-k", "hr10")


def refused(path):
    """The one line with which a description, or its installation, is refused."""
    with pytest.raises(HarnessError) as error:
        Testbed(TESTBEDS.find("one_node").topology, read(path), insist=True).close()
    assert "\n" not in str(error.value)
    return error.value


CONSTANTS = "const volatile __u32 number; const volatile unsigned char mac[6];"
USES = "if (number + mac[0] == 77) return 2"
REFUSED_BY_VERIFIER = """static long (*load)(void *, __u32, void *, __u32) = (void *)26;"""


def plain():
    """An object that lets everything pass: compiled for the tests, not whenever pytest collects."""
    return {"mine.o": compiled(TINY % ("", ""))}


def constants():
    return {"mine.o": compiled(TINY % (CONSTANTS, USES))}


def filled(table):
    return {"mine.o": counting(kind=HASH)}, attach() + "[[map]]\n" + table


#: What is wrong → objects, tables, exit code, and what the one line says.
BAD = {
    "missing": lambda: ({}, attach(), 13, "[[attach]] 1: object: mine.o cannot be used (No such"),
    "outside": lambda: ({}, attach(file="../x.o"), 13, "does not lie below"),
    "no ELF": lambda: ({"mine.o": b"text"}, attach(), 14, "mine.o: libbpf cannot open it"),
    "empty": lambda: ({"mine.o": b""}, attach(), 14, "mine.o: libbpf cannot open it"),
    "half": lambda: (
        {"mine.o": plain()["mine.o"][:700]}, attach(), 14, "mine.o: libbpf cannot open it",
    ),
    "no BPF": lambda: (
        {"mine.o": Path("/bin/true").read_bytes()}, attach(), 14, "libbpf cannot open it",
    ),
    "no such program": lambda: (
        plain(), attach("fail"), 13, "program: mine.o has no program 'fail': it has pass",
    ),
    "no such place": lambda: (
        plain(), attach().replace('"lxc"', '"pod"'), 13, "at: 'pod' is unknown: use lxc",
    ),
    "unknown key": lambda: (
        plain(), attach(more="prio = 1"), 13, "[[attach]] 1: prio: is unknown: use object",
    ),
    "another hook than claimed": lambda: (
        plain(), attach().replace("clsact", "tcx"), 13,
        "hook is tcx, but claim attaches is clsact: make them agree",
    ),
    "no such constant": lambda: (
        constants(), attach(more="variables = { numbers = 1 }"), 13,
        "[[attach]] 1: variables numbers: mine.o has no such constant: it has number, mac",
    ),
    "no such placeholder": lambda: (
        constants(), attach(more='variables = { number = "{pid}" }'), 13,
        "'{pid}' is no placeholder at lxc: use {ifindex}, {mac}",
    ),
    "a placeholder of another place": lambda: (
        constants(), attach(more='variables = { mac = "{pod_mac}" }').replace('"lxc"', '"uplink"'),
        13, "'{pod_mac}' is no placeholder at uplink",
    ),
    "a placeholder that does not fit": lambda: (
        constants(), attach(more='variables = { number = "{mac}" }'), 13,
        "{mac} does not fit into 4 bytes",
    ),
    "a number that does not fit": lambda: (
        constants(), attach(more="variables = { number = 4294967296 }"), 13,
        "4294967296 does not fit into 4 bytes",
    ),
    "a number for a MAC": lambda: (
        constants(), attach(more="variables = { mac = 1 }"), 13, "1 does not fit into 6 bytes",
    ),
    "too few bytes": lambda: (
        constants(), attach(more="variables = { mac = [1, 2] }"), 13, "2 bytes are not 6",
    ),
    "no value": lambda: (
        constants(), attach(more="variables = { mac = 1.5 }"), 13, "1.5 is no value",
    ),
    "refused by the verifier": lambda: (
        {"mine.o": compiled(TINY % (REFUSED_BY_VERIFIER, "__u32 x; load(skb, 0, &x, 400)"))},
        attach(), 14, "mine.o: the verifier refused pass: ",
    ),
    "a map that cannot be shared": lambda: (
        {"mine.o": counting(), "other.o": counting(entries=8)}, attach() + attach(file="other.o"),
        14, "other.o: map shared (array, key 4, value 4, 8 entries) cannot be shared",
    ),
    "a map the kernel refuses": lambda: (
        {"mine.o": counting(kind=99)}, attach(), 14, "mine.o: ",
    ),
    "no such map": lambda: (
        *filled('name = "x"\neach = "pod"\nkey = 1\nvalue = 1'), 13,
        "[[map]] 1: name: no object has a map 'x': use shared",
    ),
    "a map with a value for each CPU": lambda: (
        {"mine.o": counting(kind=6)},
        attach() + '[[map]]\nname = "shared"\neach = "pod"\nkey = 1\nvalue = 1', 13,
        "[[map]] 1: name: map 'shared' has a value for each CPU: fill maps without",
    ),
    "no such field": lambda: (
        *filled('name = "shared"\neach = "pod"\nkey = { x = 1 }\nvalue = 1'), 13,
        "[[map]] 1: key.x: there is no such field: it has no named fields",
    ),
    "no key": lambda: (
        *filled('name = "shared"\neach = "pod"\nvalue = 1'), 13, "[[map]] 1: key: is missing",
    ),
    "a map that is too small": lambda: (
        {"mine.o": counting(entries=1, kind=HASH)},
        attach() + '[[map]]\nname = "shared"\neach = "pod"\nkey = "{ip4}"\nvalue = 1',
        19, "mine: map shared cannot be filled (Argument list too long): 2 entries are wanted",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_and_leaves_nothing(name, tmp_path):
    objects, tables, code, words = BAD[name]()
    path = describe(tmp_path, objects, tables)
    pool.unload_idle()
    gc.collect()  # what earlier tests left
    before = open_files()
    error = refused(path)
    assert words in str(error)
    assert error.exit_code == code
    pool.unload_idle()
    gc.collect()
    assert open_files() == before


def test_the_verifiers_whole_log_is_in_the_error(tmp_path):
    objects, tables, _, _ = BAD["refused by the verifier"]()
    error = refused(describe(tmp_path, objects, tables))
    assert isinstance(error, BuildError)
    assert "BEGIN PROG LOAD LOG" in error.log
    assert "processed" in error.log
    assert str(error).partition("refused pass: ")[2] in error.log


def test_a_name_that_is_taken_is_one_line(tmp_path):
    path = example(tmp_path, "bpf")
    with pytest.raises(HarnessError, match=r"name: there is a datapath 'bpf' already: give yours"):
        bring(path)


def test_bringing_the_same_twice_is_no_clash(tmp_path):
    path = example(tmp_path, "twice")
    try:
        assert bring(path) == bring(path)
        assert find("twice").files == {"hostpath.o": read(path).attach[0].file.sha256}
    finally:
        del DATAPATHS["twice"]


def ended(*arguments):
    return end(start([*CLI, *arguments]))


def test_the_command_line_takes_it(tmp_path):
    path = str(example(tmp_path))
    listed = ended("datapaths", "--bring", path)
    assert "hostpath 1.0, of " in listed.out
    assert "declines limits_errors" in listed.out
    proven = ended("status", "--bring", path, "--verify")
    assert proven.code == 0, proven.text
    assert "proven: BPF" in proven.out
    inside = end(start([*CLI, "shell", "one_node", "--bring", path]))
    assert inside.code == 0, inside.text
    assert "hostpath 1.0 (from_pod=" in inside.out


@pytest.mark.parametrize("name", ["no ELF", "refused by the verifier", "no such program"])
def test_a_run_is_ended_before_it_begins(name, tmp_path):
    objects, tables, code, words = BAD[name]()
    path = describe(tmp_path, objects, tables)
    found = end(start(pytest_of("-q", f"--hr-bring={path}", *ONE_TEST)))
    assert found.code == code, found.text
    (line,) = [line for line in found.text.splitlines() if words in line]
    assert "hostroute: " in line
    assert "Traceback" not in found.text
    assert " passed" not in found.text


def test_a_run_finds_it_from_the_directory_that_it_was_started_in(tmp_path):
    path = example(tmp_path)
    options = (f"--hr-bring={path.name}", "--hr-datapath=hostpath", f"--hr-results={tmp_path}")
    arguments = pytest_of("-q", *options, str(ROOT / ONE_TEST[0]), *ONE_TEST[1:], rootdir=tmp_path)
    found = end(start(arguments, cwd=path.parent))
    assert found.code == 0, found.text
    assert "2 passed" in found.text


def test_families_that_it_does_not_forward_are_not_claimed(tmp_path):
    text = (elf_example.EXAMPLE / "hostpath.toml").read_text(encoding="utf-8")
    changes = {line: line.replace(', "ipv6"', "") for line in text.splitlines() if '"ipv6"' in line}
    path = example(tmp_path, "v4", toml={"needs = [": 'families = ["ipv4"]\nneeds = [', **changes})
    run = pytest_of("-q", "-rs", f"--hr-bring={path}", "--hr-datapath=v4", *ONE_TEST)
    found = end(start(run))
    assert found.code == 0, found.text
    assert "1 passed" in found.text
    assert "1 not claimed" in found.text
    assert "v4: families = ipv6 (HR-10)" in found.text


def test_the_record_says_what_was_judged(tmp_path):
    path = example(tmp_path)
    text = path.read_text(encoding="utf-8").replace(
        "[datapath]\n", '[datapath]\nurl = "https://example.org/hostpath"\n', 1
    )
    path.write_text(text, encoding="utf-8")
    run = pytest_of(
        "-q", f"--hr-bring={path}", "--hr-datapath=hostpath", "--hr-record",
        str(ROOT / ONE_TEST[0]), *ONE_TEST[1:], rootdir=tmp_path,
    )  # fmt: skip
    found = end(start(run))
    assert found.code == 0, found.text
    (record,) = results.read_all([tmp_path / "results"])
    (judged,) = record.datapaths
    objects = {file.name: hashlib.sha256(file.read_bytes()).hexdigest()
               for file in path.parent.glob("*.o")}  # fmt: skip
    assert judged.objects == objects
    assert judged.version == read(path).version != ""
    assert judged.url == "https://example.org/hostpath"
    assert set(judged.programs) == {"from_pod"}


# ------------------------------------------------------------------------------- nothing is left

PLAIN = """
def test_it(two_node, datapath):
    with two_node.capture():
        two_node.pod1.ping(two_node.pod2, 10)
"""
WAITS = ("interrupt", "loading")
STOPPED_IN = {
    "tried": Moment("harness.datapath.brought.elf_installed:prepare", programs=False, children=""),
    "loading": Moment("harness.bpf.elf:OpenObject.load", programs=False, children=""),
    "attaching": Moment("harness.datapath.brought.elf_installed:InstalledElf._attach", children=""),
    "pinging": Moment("harness.testbed.actor:ping"),
}


# While objects are loaded an interrupt waits.
@pytest.mark.parametrize(
    ("how", "moment"),
    [(how, at) for how in ("kill", "interrupt") for at in STOPPED_IN if (how, at) != WAITS],
)
def test_nothing_is_left_of_a_run_that_is_ended(how, moment, tmp_path):
    path = example(tmp_path)
    at = replace(STOPPED_IN[moment], datapath="hostpath", options=("--hr-bring", str(path)))
    mark = uuid.uuid4().hex
    before = settled(mark)
    run = Run(at, tmp_path, PLAIN)
    try:
        assert run.namespaces
        assert bool(run.programs) == at.programs
        getattr(run, how)()
        assert await_(lambda: not run.remains()), run.remains()
    finally:
        run.close()
    assert await_same(before, mark) == {}
