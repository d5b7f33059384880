# SPDX-License-Identifier: Apache-2.0
"""The record of a run on real testbeds, and of one whose disk is really full.

The disk is a tmpfs of 64 KiB in a mount namespace of the child's own.
"""

import json

import pytest

from harness import results
from harness.plumbing.errors import RecordError
from harness.watch.legs import LegTable
from testbeds.one_node.legs import SAME_NODE
from tests.support import records
from tests.support.run_cli import end, pytest_of, start

pytestmark = pytest.mark.usefixtures("hr_machine")

MEASURED = """
import json
from pathlib import Path
from harness.plugin.record import draft
from harness.results import Comparison
from msgspec import convert

def test_it(request):
    text = Path(__file__).with_name("comparisons.json").read_text()
    draft(request.config).comparisons += convert(json.loads(text), list[Comparison])
"""
#: Mounts the disk on each directory before `--`, runs the rest, and says what is on the disks.
ON_A_SMALL_DISK = """
disks=
while [ "$1" != -- ]; do mount -t tmpfs -o size=64k none "$1"; disks="$disks $1"; shift; done
shift; "$@"; code=$?; echo "left: $(ls -A $disks | grep -v :)"; exit $code
"""


def test_a_conformance_run_records_legs_degradations_and_what_was_observed(tmp_path):
    chosen = "hr07 and bpf and ipv4 or hr06_unmet and masquerade-bpf and ipv6 or hr38 and legacy"
    ended = end(start(pytest_of(
        "-q", "testbeds/one_node", "-k", chosen, "--hr-datapath", "bpf,legacy", "--hr-record",
        "--hr-results", str(tmp_path),
    )))  # fmt: skip
    assert ended.code == 0, ended.text
    (found,) = results.read_all([tmp_path])
    entries = {(entry.id, entry.datapath, entry.family): entry for entry in found.conformance}
    (legs,) = (
        entry for entry in found.conformance
        if "test_hr07_ping_between_pods_same_node[bpf-ipv4]" in entry.test
    )  # fmt: skip
    assert (legs.testbed, legs.outcome, legs.degraded) == ("one_node", "passed", [])
    assert LegTable.parse(legs.legs[0]) == SAME_NODE["peer"]
    assert {tuple(entry.pod_devices) for entry in found.conformance} == {("veth",)}
    (status,) = entries["HR-06", "bpf", "ipv6"].degraded
    assert status.startswith("master: Host Routing: Legacy (masquerading in BPF is not built")
    observed = entries["HR-38", "legacy", "ipv6"].observed
    assert observed == {"pod2:eth0 rx_packets": 5, "master:lxc2 tx_packets": 5}
    assert found.machine.boot_id
    assert (found.partial, found.comparisons) == (None, [])


@pytest.fixture
def run(tmp_path):
    """A function that runs a test whose record has a size; `full` lie on small disks."""

    def child(full, builds):
        comparison = records.comparison(builds=builds)
        (tmp_path / "comparisons.json").write_text(json.dumps([comparison]))
        (tmp_path / "test_child.py").write_text(MEASURED, encoding="ascii")
        for name in ("results", "tmp"):
            (tmp_path / name).mkdir()
        mounted = ("unshare", "--mount", "--propagation", "private", "sh", "-c", ON_A_SMALL_DISK,
                   "sh", *(str(tmp_path / name) for name in full), "--")  # fmt: skip
        test = pytest_of(
            "-p", "pytest_hostroute", str(tmp_path / "test_child.py"), rootdir=tmp_path
        )
        return end(start((*mounted, *test), {"TMPDIR": str(tmp_path / "tmp")}))

    return child


def test_a_record_that_does_not_fit_is_kept_in_the_temporary_directory(run, tmp_path):
    ended = run(["results"], builds=80)
    assert ended.code == RecordError.exit_code, ended.text
    assert ended.out.rstrip().endswith("left:")
    (kept,) = (tmp_path / "tmp").glob("run-*.json")
    assert len(results.read(kept).comparisons) == 1
    assert f"results (No space left on device): it was kept as {kept}: make room" in ended.out
    assert "Traceback" not in ended.text


def test_a_record_that_fits_nowhere_is_said_in_one_line(run, tmp_path):
    ended = run(["results", "tmp", "/dev/shm"], builds=80)  # its last refuge, of its own here
    assert ended.code == RecordError.exit_code, ended.text
    assert "nor into" in ended.out
    assert "run-" not in ended.out.partition("left:")[2]
    assert "Traceback" not in ended.text


def test_a_record_that_fits_is_where_it_belongs(run, tmp_path):
    """The control: the disk and its mounting are not what is wrong above."""
    ended = run(["results"], builds=2)
    assert ended.code == 0, ended.text
    assert "run-" in ended.out.partition("left:")[2]
    assert list((tmp_path / "tmp").glob("run-*")) == []
