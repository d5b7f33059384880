# SPDX-License-Identifier: Apache-2.0
"""What pytest in a guest leaves: four tests of the catalogue, one of them failed."""

from harness.kernels.outcomes import Outcome

JUNIT = """<?xml version="1.0" encoding="utf-8"?>
<testsuites><testsuite name="pytest" tests="4">
<testcase classname="testbeds.one_node.test_legs" name="test_hr07_ping[bpf-ipv4]" time="1"/>
<testcase classname="testbeds.one_node.test_legs" name="test_hr07_ping[bpf-ipv6]" time="1">
<failure message="assert 1 == 2&#10;second line">trace</failure></testcase>
<testcase classname="testbeds.one_node.test_gateway" name="test_hr16_arp" time="1">
<skipped type="pytest.skip" message="since 6.6"/></testcase>
<testcase classname="testbeds.test_log" name="test_x"><error message="boom"/></testcase>
</testsuite></testsuites>
"""


def outcome(identity, result):
    return Outcome("t", identity, result, "")
