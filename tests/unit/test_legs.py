# SPDX-License-Identifier: Apache-2.0
"""The tables of legs have a row for every way of delivering that a datapath may claim."""

import pytest

from harness.datapath.claims import DELIVERIES
from harness.watch.legs import LegTable
from testbeds.one_node import legs as one
from testbeds.two_node import legs as two

TABLES = [
    one.SAME_NODE,
    one.CLUSTER_IP,
    one.HAIRPIN,
    two.CLUSTER_IP,
    *two.NODE_PORT.values(),
    two.NODE_PORT_FAR,
    two.TWO_NODES,
    two.WORLD[False],
    two.WORLD[True],
    two.REFUSED_FAR,
]


@pytest.mark.parametrize("table", TABLES)
def test_every_delivery_has_its_legs(table):
    assert set(table) == set(DELIVERIES)
    assert all(LegTable.parse(text).legs for text in table.values())


@pytest.mark.parametrize("table", TABLES)
def test_what_passes_the_lxc_by_has_fewer_legs_there(table):
    seen = {way: [leg for leg in LegTable.parse(text).legs if "lxc" in leg[0]]
            for way, text in table.items()}  # fmt: skip
    assert seen["stack"] == seen["lxc"]
    assert len(seen["peer"]) < len(seen["lxc"])
    assert len(seen["netkit"]) < len(seen["lxc"])
