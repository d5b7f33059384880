# SPDX-License-Identifier: Apache-2.0
"""What the suites presume of a datapath: what is right passes, what is not fails by its name."""

import pytest

from harness.datapath import DATAPATHS
from harness.testbed import Testbed
from harness.topology import TESTBEDS, Family
from harness.watch.capture import Frame
from testbeds.controls import call_test, failed_assertion, find_test
from testbeds.mutants.mutant import Catch
from testbeds.one_node import test_router_duties

pytestmark = pytest.mark.usefixtures("hr_machine")
STREAM = find_test(Catch("two_node/test_mtu::test_hr33_gso_stream_arrives_intact", ""))


@pytest.fixture(params=list(Family), ids=lambda family: family.name)
def bed(request):
    topology = TESTBEDS.find("two_node").topology
    with Testbed(topology, DATAPATHS["bpf"], request.param) as testbed:
        yield testbed


def test_a_stream_that_is_cut_before_the_wire_is_intact(request, bed):
    for node in bed.network.nodes:
        node.offloads_off("enp0s8")
    call_test(request, STREAM, DATAPATHS["bpf"], bed.family, {"two_node": bed})


def test_a_stream_that_the_pod_itself_cuts_proves_nothing(request, bed):
    bed.network.pods[0].offloads_off("eth0")
    found = failed_assertion(request, STREAM, DATAPATHS["bpf"], bed.family, {"two_node": bed})
    assert found == "the pod sends more than a segment at once"


def test_a_frame_that_is_no_error_is_told_as_it_is():
    """Where a datapath answers with something that has no IP header, or an empty one."""
    broken = [b"", bytes(14), bytes(12) + b"\x08\x00", bytes(12) + b"\x08\x00" + bytes(20),
              bytes(12) + b"\x86\xdd" + bytes(40)]  # fmt: skip
    frames = [Frame("pod1:eth0", "in", 0, raw, len(raw)) for raw in broken]

    class Seen:
        pass

    seen = Seen()
    seen.frames = frames
    found, told = test_router_duties._told(seen)
    assert found == frames
    assert all(isinstance(each, str) for each in told)
    assert test_router_duties._sources(frames) <= {"", "0.0.0.0", "::"}
