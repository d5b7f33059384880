# SPDX-License-Identifier: Apache-2.0
"""Pods made anew, with the names and the addresses they had, in other namespaces."""

import pytest

from harness.testbed import Testbed
from testbeds.one_node.legs import SAME_NODE


def _places(installed):
    """Where programs are."""
    rows = installed.attachments()
    return sorted((row.interface, row.direction, row.hook, row.program) for row in rows)


def test_hr07_pods_made_anew(one_node: Testbed, datapath, family):
    installed = one_node.datapath_of("master").installed
    before = _places(installed)
    for pod in ("pod1", "pod2"):
        one_node.remake(pod)
    installed.sync()
    back = one_node.pod2.ping(one_node.pod1)
    with one_node.capture() as seen:
        forth = one_node.pod1.ping(one_node.pod2)
    assert (forth.lost, back.lost) == (0, 0), "lost"
    assert seen.legs() == SAME_NODE[datapath.claims.delivers]
    assert _places(installed) == before, "attachments"


@pytest.mark.claims("answers_gateway_ping")
def test_hr16_gateway_of_pods_made_anew(one_node: Testbed, datapath, family):
    for pod in ("pod1", "pod2"):
        one_node.remake(pod)
    one_node.datapath_of("master").installed.sync()
    assert one_node.pod2.ping(one_node.master.gateway[family]).lost == 0, "lost"
