# SPDX-License-Identifier: Apache-2.0
"""The command line, as far as it needs no root."""

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from msgspec.structs import replace as replace_run

from harness import cli, results
from harness.cli import COMMANDS, main
from harness.cli.command import Command
from harness.datapath import CLAIMS, DATAPATHS, Claims, features
from harness.datapath.probes import Probe
from harness.plumbing.errors import EXIT_CODES, HarnessError, RecordError
from harness.plumbing.registry import Registry
from harness.topology import TESTBEDS, Family
from tests.support import records

ROOT = str(Path(__file__).parents[3])


def fail(capsys, *argv):
    """Exit code and the one line on stderr."""
    try:
        code = main(argv)
    except SystemExit as end:  # argparse's way
        code = end.code
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert said.err.startswith("hostroute: ")
    return code, said.err


@pytest.fixture
def able(monkeypatch):
    """A kernel that has every helper, asked as root."""
    monkeypatch.setattr("harness.cli.status.check_privileges", lambda: None)
    monkeypatch.setattr(features, "probe", lambda _: Probe(True, "loads"))


def test_help_lists_every_command_and_every_exit_code(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    text = capsys.readouterr().out
    assert end.value.code == 0
    assert all(name in text for name in COMMANDS)
    for code, meaning in {
        **EXIT_CODES,
        cli.USAGE: "",
        cli.INTERRUPTED: "",
        cli.PIPE_CLOSED: "",
    }.items():
        assert re.search(rf"^ +{code}  .*{re.escape(meaning)}$", text, re.M)


def test_every_command_has_a_summary():
    assert all(command.summary and name == command.name for name, command in COMMANDS.items())


def test_datapaths_and_testbeds_a_line_each(capsys):
    assert main(["datapaths"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [x.split()[0] for x in lines if not x.startswith(" ")] == list(DATAPATHS)
    assert main(["testbeds"]) == 0
    assert [x.split()[0] for x in capsys.readouterr().out.splitlines()] == list(TESTBEDS)


@pytest.mark.parametrize("kind", ["datapath", "testbed"])
def test_a_table_that_is_empty(kind, monkeypatch, capsys):
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: ())
    table = Registry(kind, object)
    monkeypatch.setattr(f"harness.cli.{kind}s.{kind.upper()}S", table)
    said = f"hostroute: no {kind} is registered: install a package that registers a {kind}\n"
    assert fail(capsys, f"{kind}s") == (13, said)


def test_datapaths_say_what_they_claim_and_decline(capsys, monkeypatch):
    claims = replace(DATAPATHS["bpf"].claims, answers_arp=False, too_big=frozenset([Family.ipv6]))
    least = SimpleNamespace(name="least", summary="s", needs=frozenset(), claims=Claims())
    monkeypatch.setitem(DATAPATHS, "mine", replace(DATAPATHS["bpf"], claims=claims))
    monkeypatch.setitem(DATAPATHS, "least", least)
    assert main(["datapaths"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines if line.startswith(" ")) <= 100
    starts = [at for at, line in enumerate(lines) if not line.startswith(" ")]
    said = {lines[at].split()[0]: " ".join(" ".join(lines[at + 1 : end]).split())
            for at, end in zip(starts, [*starts[1:], None], strict=True)}  # fmt: skip
    assert said["bpf"] == f"claims {DATAPATHS['bpf'].claims} declines nothing"
    assert said["mine"].endswith(" declines too_big = ipv4; answers_arp")
    assert said["least"].startswith(
        "claims nothing declines services = ipv4, ipv6; decrements_ttl; "
    )


def test_a_datapath_without_claims_is_a_line(capsys, monkeypatch):
    monkeypatch.setitem(DATAPATHS, "mine", SimpleNamespace(name="mine"))
    assert main(["datapaths"]) == 13
    err = capsys.readouterr().err
    assert err == "hostroute: datapath 'mine' has no claims: give it a harness.datapath.Claims\n"


def test_claims_has_every_claim_with_its_values_and_entries(capsys):
    assert main(["claims"]) == 0
    out = capsys.readouterr().out
    for claim in CLAIMS.values():
        assert f"\n{claim.name}: " in f"\n{out}"
        assert claim.meaning in out
        assert f"    {', '.join(claim.ids)}\n" in out
    assert "\nanswers_arp: yes, no (ipv4 only); can be declined\n" in out
    assert "\ntime_exceeded: a set of ipv4, ipv6; can be declined\n" in out
    assert out.startswith("bypasses_stack: yes, no; decides what is expected\n")
    core = out.splitlines()[-1]
    assert core.startswith("The core: HR-01, HR-02, HR-03, HR-04, HR-07, ")
    assert core.endswith(
        " decline it, except for tests of HR-33 that rest on big_tcp, tests of HR-18 that rest on"
        " header_check."
    )


@pytest.mark.parametrize("name", TESTBEDS)
def test_a_testbeds_drawing(name, capsys):
    assert main(["testbeds", name]) == 0
    drawing = capsys.readouterr().out
    assert all(word in drawing for word in ("master", "pod1", "pod2", "lxc1", "eth0", "──"))


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("testbeds", "three_node"), "testbed 'three_node' is unknown: use one_node, two_node"),
        (("shell", "three_node"), "testbed 'three_node' is unknown: use "),
        (("shell", "one_node", "--datapath", "bfp"), "datapath 'bfp' is unknown: use legacy, "),
        (("status", "--datapath", "bfp"), "datapath 'bfp' is unknown: use legacy, bpf, "),
        (("status", "--routing", "vxlan"), "setting routing='vxlan' is unknown: use direct, "),
        (("status", "--services", "x"), "setting services='x' is unknown: use "),
        (("status", "--masquerade", "x"), "setting masquerade='x' is unknown: use "),
        (("status", "--require", "x"), "--require 'x' is unknown: use bpf"),
        (("status", "--without", "x"), "feature 'x' is unknown: use redirect_peer, "),
    ],
)
def test_an_unknown_name(argv, words, capsys, able):
    code, line = fail(capsys, *argv)
    assert code == 13
    assert words in line


@pytest.mark.parametrize(
    "argv",
    [(), ("stauts",), ("status", "--jsno"), ("testbeds", "a", "b"), ("status", "--", "garbage")],
)
def test_wrong_usage(argv, capsys):
    code, line = fail(capsys, *argv)
    assert code == cli.USAGE
    assert re.search(r"see `hostroute( \w+)? --help`$", line)


def test_what_follows_two_dashes_is_an_argument_too(tmp_path, capsys):
    """Of every command but `kernels`, which hands it on."""
    assert main(["results", "list", "--", str(tmp_path / "none")]) == RecordError.exit_code
    assert str(tmp_path / "none") in capsys.readouterr().err


def test_status_prints_its_decision_first(capsys, able):
    assert main(["status"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Host Routing: BPF"
    assert [line.split()[0] for line in lines[2:]][:2] == ["host_routing", "redirect_peer"]
    columns = {re.search(r"\b(met|UNMET)\b", line).start() for line in lines[2:]}
    assert len(columns) == 1


def stop(kind):
    def run(_):
        raise kind

    return Command("status", "stops", lambda _: None, run)


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (BrokenPipeError(), 141)])
def test_an_end_that_is_no_error_says_nothing(error, code, monkeypatch, capfd):
    monkeypatch.setitem(COMMANDS, "status", stop(error))
    assert main(["status"]) == code
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("kind", [k for k in HarnessError.__subclasses__() if k.exit_code != 15])
def test_an_error_is_one_line_with_its_code(kind, monkeypatch, capsys):
    monkeypatch.setitem(COMMANDS, "status", stop(kind("what", "todo")))
    assert fail(capsys, "status") == (kind.exit_code, "hostroute: what: todo\n")


@pytest.mark.parametrize("module", ["harness", "harness.cli"])
def test_the_module_is_the_command(module):
    ended = subprocess.run([sys.executable, "-m", module, "testbeds", "x"],
                           capture_output=True, text=True, check=False)  # fmt: skip
    assert ended.returncode == 13
    assert ended.stderr == "hostroute: testbed 'x' is unknown: use one_node, two_node\n"


#: Strikes while the command line is imported, and once more where it parses.
STRUCK = """
import os, runpy, signal, sys
import {where}

def strike(*_arguments, **_options):
    os.kill(os.getpid(), signal.SIGINT)
    for _ in range(1000): pass

{patch}
sys.argv = ["hostroute", "testbeds"]
runpy.run_module("harness", run_name="__main__", alter_sys=True)
"""
STRIKES = {
    "importing": (
        "importlib.abc",
        """
class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "harness.cli":
            strike()

sys.meta_path.insert(0, Finder())
""",
    ),
    "parsing": ("argparse", "argparse.ArgumentParser.parse_args = strike"),
}


@pytest.mark.parametrize("when", STRIKES)
def test_ctrl_c_before_the_command_begins_is_no_traceback(when):
    where, patch = STRIKES[when]
    program = STRUCK.format(where=where, patch=patch)
    ended = subprocess.run(
        ["env", "--default-signal=INT", sys.executable, "-c", program],
        capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": ROOT},
    )  # fmt: skip
    # A shell calls it 130.
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGINT, "", "")


@pytest.mark.parametrize("command", ["testbeds one_node", "results show big.json --json"])
def test_an_output_that_is_full_is_one_line(tmp_path, command):
    (tmp_path / "big.json").write_text(json.dumps(records.record(builds=2)))
    with open("/dev/full", "w", encoding="utf-8") as full:
        ended = subprocess.run([sys.executable, "-m", "harness.cli", *command.split()],
                               stdout=full, stderr=subprocess.PIPE, text=True, check=False,
                               cwd=tmp_path, env=os.environ | {"PYTHONPATH": ROOT})  # fmt: skip
    assert ended.stderr == (
        "hostroute: [Errno 28] No space left on device: is there room for the output?\n"
    )
    assert ended.returncode == 19


def test_what_the_system_refuses_is_one_line(monkeypatch, capsys):
    monkeypatch.setitem(COMMANDS, "status", stop(PermissionError(13, "Permission denied", "x")))
    assert fail(capsys, "status") == (19, "hostroute: [Errno 13] Permission denied: 'x'\n")


def test_a_terminal_of_few_characters_gets_the_others_in_ascii(tmp_path):
    (tmp_path / "x.json").write_text(json.dumps(records.record(builds=2)))
    ended = subprocess.run([sys.executable, "-m", "harness.cli", "results", "show", "x.json"],
                           capture_output=True, text=True, check=False, cwd=tmp_path,
                           env=os.environ | {"PYTHONPATH": ROOT,
                                             "PYTHONIOENCODING": "ascii"})  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "\\xb10.8 %" in ended.stdout
    assert re.search(r" 2\.\d\d us ", ended.stdout)


def test_a_reader_that_leaves_is_no_error():
    script = f"{sys.executable} -m harness.cli testbeds one_node | true"
    ended = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert ended.stderr == ""


@pytest.mark.parametrize(
    ("command", "closed", "code", "said"),
    [
        ("testbeds", ">&-", 0, ""),
        ("results list", ">&-", 0, ""),
        ("testbeds", "<&- >&- 2>&-", 0, ""),
        ("testbeds x", ">&-", 13, "hostroute: testbed 'x' is unknown: use one_node, two_node\n"),
        ("testbeds x", "2>&-", 13, ""),
    ],
)
def test_streams_that_the_caller_closed(command, closed, code, said):
    script = f"{sys.executable} -m harness.cli {command} {closed}"
    ended = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (code, said)


def test_the_version_takes_none_of_the_commands_imports():
    program = "import sys, runpy; sys.argv = ['hostroute', '--version']\n" \
              "try: runpy.run_module('harness', run_name='__main__')\n" \
              "finally: assert 'harness.cli' not in sys.modules"  # fmt: skip
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                           check=False, env=os.environ | {"PYTHONPATH": ROOT})  # fmt: skip
    assert (ended.returncode, ended.stdout, ended.stderr) == (
        0, f"hostroute {cli.__version__}\n", "",
    )  # fmt: skip


@pytest.mark.parametrize("option", ["--routing", "--services", "--masquerade"])
def test_what_may_be_asked_of_a_node_is_explained(capsys, option):
    with pytest.raises(SystemExit):
        main(["status", "--help"])
    text = " ".join(capsys.readouterr().out.partition("options:")[2].split())
    text = text.partition(option + " ")[2]
    assert re.match(r"[a-z|]+ (how|who) .*?\(default: \w+\)", text), text


@pytest.mark.parametrize(("command", "name"), [("testbeds", "one_node"), ("datapaths", "bpf")])
def test_lists_are_to_be_had_as_json(capsys, command, name):
    assert main([command, "--json"]) == 0
    assert name in {entry["name"] for entry in json.loads(capsys.readouterr().out)}


def test_the_latest_record_needs_no_name(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["results", "show", "latest"]) == 17
    for seed, started in ((1, "2026-11-22T17:41:00+00:00"), (2, "2026-11-21T17:41:00+00:00")):
        results.write(tmp_path / "results", replace_run(records.run(seed=seed), started=started))
    assert main(["results", "show", "latest"]) == 0
    assert "\nstarted    2026-11-22T17:41:00+00:00, " in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["html", "csv"])
def test_a_report_does_not_flood_a_terminal(tmp_path, monkeypatch, capsys, kind):
    results.write(tmp_path, records.run())
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main(["report", str(tmp_path), "--format", kind]) == 17
    said = capsys.readouterr()
    assert said.out == ""
    assert f"not for a terminal: name a file, as in -o report.{kind}" in said.err
