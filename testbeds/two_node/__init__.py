# SPDX-License-Identifier: Apache-2.0
"""Two nodes with a pod each, joined by a veth wire.

    pod1              master                         node1              pod2
    eth0 ───── lxc1          enp0s8 ─────────── enp0s8          lxc2 ───── eth0
    10.0.1.10         192.168.56.11          192.168.56.12             10.0.2.10
    fd00:10:0:1::a    fd00:56::11            fd00:56::12          fd00:10:0:2::a

With `@pytest.mark.topology(world=True)` the wire becomes a bridge in a namespace of its own,
and a host outside the cluster hangs on it:

    master:enp0s8 ── switch:master ┐
    node1:enp0s8 ─── switch:node1  ┤ br0
    world:eth0 ───── switch:world  ┘        198.51.100.1, 2001:db8:100::1 behind 192.168.56.200
"""

import inspect

from harness.topology import Blueprint, Topology

BLUEPRINT = Blueprint(Topology(nodes=2, pods_per_node=1), inspect.cleandoc(__doc__ or ""))
