# SPDX-License-Identifier: Apache-2.0
"""A test that fails for its legs: what a person sees, and what the record keeps."""

from html import escape

import pytest

from harness import results
from harness.report import FORMATS, Report, digest
from tests.support.run_cli import end, pytest_of, start

pytestmark = pytest.mark.usefixtures("hr_machine")

#: bpf-redirect delivers through the lxc; the third says nothing of legs.
MODULE = """
from testbeds.two_node.legs import TWO_NODES

def test_hr08_of_another_delivery(two_node, datapath, family):
    with two_node.capture() as before:
        two_node.pod1.ping(two_node.master)
    with two_node.capture() as seen:
        two_node.pod1.ping(two_node.pod2)
    assert seen.legs() == TWO_NODES["peer"]

def test_hr08_of_no_delivery(two_node, datapath, family):
    with two_node.capture() as seen:
        two_node.pod1.ping(two_node.pod2)
    try:
        assert seen.legs() == TWO_NODES["netkit"], "caught"
    except AssertionError:
        pass
    assert seen.legs() == "pod1:eth0 > request < error", "second"

def test_hr08_of_no_legs(two_node, datapath, family):
    with two_node.capture() as seen:
        two_node.pod1.ping(two_node.pod2)
    check(two_node.pod1, 5)

def check(pod, number):
    assert number == 6, "number"
"""
SHOWN = """\
                expected              seen
pod1:eth0       > request   < reply   > request   < reply
master:lxc1     < request             < request   > reply   extra: > reply
master:enp0s8   > request   < reply   > request   < reply
node1:enp0s8    < request   > reply   < request   > reply
node1:lxc2      < reply               > request   < reply   extra: > request
pod2:eth0       < request   > reply   < request   > reply
The legs seen are those of delivery stack or lxc in TWO_NODES, not of peer.
"""


@pytest.fixture(scope="module")
def failed(tmp_path_factory):
    """The run, and its record."""
    place = tmp_path_factory.mktemp("wrong")
    (place / "test_child.py").write_text(MODULE)
    arguments = pytest_of(
        "-p", "pytest_hostroute", "--hr-datapath", "bpf-redirect", "-k", "ipv4", "--hr-record",
        "--junitxml=junit.xml", "test_child.py", rootdir=place,
    )  # fmt: skip
    run = end(start(arguments, {"COLUMNS": "80"}, cwd=place))
    assert run.code == 1, run.text
    (record,) = results.read_all([place / "results"])
    return run.out, record, (place / "junit.xml").read_text()


def part(text, test):
    """What is said of one test."""
    heading = f"_ test_hr08_{test}[bpf-redirect-ipv4] _"
    rest = text.partition(heading)[2]
    return rest.partition("\n______")[0].partition("\n=====")[0]


def test_the_legs_are_shown_whole_and_once(failed):
    text = part(failed[0], "of_another_delivery")
    assert SHOWN in text
    assert "E       assert the legs seen are not the legs expected: 2 extra\n" in text
    assert text.count("extra: > reply") == 1
    assert "truncated" not in failed[0]
    # The other capture's stand beside; those above are not repeated.
    assert text.count("master:lxc1 ") == 2
    assert "capture1\npod1:eth0       > request   < reply\nmaster:lxc1" in text


def test_junit_xml_has_the_legs_too(failed):
    line = next(line for line in SHOWN.splitlines() if line.endswith("extra: > request"))
    assert failed[2].count(escape(line)) == 1


def test_what_else_failed_names_no_delivery(failed):
    text = part(failed[0], "of_no_delivery")
    assert "E       AssertionError: second\n" in text
    assert "expected: 1 missing, " in text
    assert "missing: < error" in text
    assert "those of delivery" not in text
    assert "legs: expected and seen" not in part(failed[0], "of_no_legs")
    assert "node1:lxc2 " in part(failed[0], "of_no_legs")


def test_neither_objects_nor_absolute_paths_are_shown(failed):
    assert " object at 0x" not in failed[0]
    assert "HostRouting(" not in failed[0]
    assert "\npod = pod1, number = 5\n" in part(failed[0], "of_no_legs")
    path = "results/pcaps/test_child/test_hr08_of_another_delivery[bpf-redirect-ipv4]/0/capture2"
    assert f"\n{path}: 12 files" in part(failed[0], "of_another_delivery")
    assert len([line for line in failed[0].splitlines() if line.startswith("results/pcaps")]) == 4


def test_record_and_job_summary_keep_the_legs_and_the_pcaps(failed):
    tests = {entry.test.split("_of_")[1].split("[")[0]: entry for entry in failed[1].conformance}
    entry = tests["another_delivery"]
    assert "\n".join((entry.wrong_legs.side_by_side, entry.wrong_legs.delivery, "")) == SHOWN
    assert entry.wrong_legs.missing == []
    assert entry.wrong_legs.extra == ["master:lxc1 > reply", "node1:lxc2 > request"]
    folder = "pcaps/test_child/test_hr08_of_another_delivery[bpf-redirect-ipv4]/0"
    assert entry.pcaps == [f"{folder}/capture1", f"{folder}/capture2"]
    assert tests["no_legs"].wrong_legs is None
    assert tests["no_delivery"].wrong_legs.delivery == ""
    said = FORMATS["md"](Report((digest(failed[1]),)))
    row = "node1:lxc2      &lt; reply               &gt; request   &lt; reply   extra: &gt; request"
    assert row in said
    assert "capture2" in said
