# SPDX-License-Identifier: Apache-2.0
"""The capabilities that README names are enough, and none of them can be left out."""

import re
from pathlib import Path

import pytest

from harness.testbed.prerequisites import CAPABILITIES, RUN_CAPABILITIES
from tests.support.run_cli import CLI, ROOT, end, pytest_of, start

pytestmark = pytest.mark.usefixtures("hr_machine")

#: Captures, run counts, nftables' counters, a raw tracepoint, helpers' probes, the kernel's log.
SELECTION = (
    "testbeds/one_node/test_legs.py::test_hr07_ping_between_pods_same_node",
    "testbeds/one_node/test_bypass.py::test_hr01_programs_attached_and_hit",
    "testbeds/one_node/test_bypass.py::test_hr02_netfilter_hooks",
    "testbeds/one_node/test_bypass.py::test_hr46_backlog_enqueues_a_round_trip",
    "testbeds/two_node/test_neighbours.py::test_hr27_first_packet_to_a_cold_neighbour",
    "testbeds/test_kernel_log.py",
)
_ASKED = "capabilities\n" + r"(?P<named>[^;]+?), which are enough"


def holding(names):
    """Root with these capabilities and no other."""
    return ("setpriv", f"--bounding-set=-all,{','.join(f'+{name.lower()}' for name in names)}",
            "--inh-caps=-all", "--")  # fmt: skip


def run(names, *arguments):
    """Pytest with these capabilities."""
    options = ("-q", "-rs", "--hr-datapath", "legacy,bpf")
    return end(start((*holding(names), *pytest_of(*options, *arguments))))


def without(name):
    return [each for each in RUN_CAPABILITIES if each != name]


def named_in_readme():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(_ASKED, text)
    assert found
    return re.findall(r"\b[A-Z]+(?:_[A-Z]+)*\b", found["named"])


def test_what_readme_names_is_enough():
    ended = run(named_in_readme(), *SELECTION)
    assert ended.code == 0, ended.text
    assert re.search(r"\b21 passed", ended.out), ended.text
    assert "skipped" not in ended.out


@pytest.mark.parametrize("name", RUN_CAPABILITIES)
def test_each_that_is_missing_is_named_before_the_first_test(name):
    ended = run(without(name), SELECTION[0])
    said = [line for line in ended.text.splitlines() if "Exit: hostroute: " in line]
    assert ended.code == 10, ended.text
    assert len(said) == 1, ended.text
    assert f"missing capabilities: {name} ({RUN_CAPABILITIES[name][1]}): " in said[0]
    assert f"--cap-add {name}, or --privileged" in said[0]
    assert "passed" not in ended.text
    assert "Traceback" not in ended.text


def test_all_that_are_missing_are_named_in_one_line():
    ended = run(["NET_RAW"], SELECTION[0])
    (said,) = [line for line in ended.text.splitlines() if "Exit: hostroute: " in line]
    assert [name for name in RUN_CAPABILITIES if f"{name} (" in said] == without("NET_RAW")


@pytest.mark.parametrize("name", RUN_CAPABILITIES)
def test_status_asks_for_less_than_a_run(name):
    """It only asks the kernel; with --verify it builds a testbed, as a run does."""
    asking, verifying = (
        start((*holding(without(name)), *CLI, "status", *options))
        for options in ((), ("--verify",))
    )
    asked, verified = end(asking), end(verifying)
    assert asked.code == (10 if name in CAPABILITIES else 0), asked.text
    assert verified.code == 10, verified.text
    assert verified.err.startswith(f"hostroute: missing capabilities: {name} (")
    assert len(verified.err.splitlines()) == 1


def test_the_machine_hides_its_log():
    """Else SYSLOG would be asked for in vain."""
    restricted = Path("/proc/sys/kernel/dmesg_restrict").read_text(encoding="ascii").strip()
    if restricted == "0":
        pytest.skip("kernel.dmesg_restrict is 0: everybody may read the log")
    readable = end(start((*holding(without("SYSLOG")), "head", "-c0", "/dev/kmsg")))
    assert readable.code != 0
