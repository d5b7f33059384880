# SPDX-License-Identifier: Apache-2.0
"""One node with two pods.

    pod1                      master                     pod2
    eth0 ──────────── lxc1    (no NIC)    lxc2 ────────── eth0
    10.0.1.10                 192.168.56.11 on lo         10.0.1.11
    fd00:10:0:1::a            fd00:56::11 on lo           fd00:10:0:1::b

The pods' gateway, 10.0.1.1 and fd00:10:0:1::1, has no device of its own.
"""

import inspect

from harness.topology import Blueprint, Topology

BLUEPRINT = Blueprint(Topology(nodes=1, pods_per_node=2), inspect.cleandoc(__doc__ or ""))
