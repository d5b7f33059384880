# SPDX-License-Identifier: Apache-2.0
"""Mutants: a datapath that thinks that all routes lead out of the first uplink."""

from __future__ import annotations

from testbeds.mutants import targets as t
from testbeds.mutants.mutant import Catch, Mutant, patch

_OTHER = t.DEVICES + "test_hr20_host_behind_another_device"
_SECOND = t.DEVICES + "test_hr20_host_behind_the_second_uplink"
_TUNNEL = t.DEVICES + "test_hr20_route_with_a_lightweight_tunnel"
_OWN_MTU = t.MTU + "test_hr30_beyond_the_mtu_of_a_pods_end_alone"
_NO_CHECK = patch("local_delivery.c", "if (pkt->l3_size > pod->mtu)", "if (0)")
_FOUND = "out.ifindex = found ? found->ifindex : 0;"

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "everything sent out of the first uplink",
        patch("forward.c", "	if (!node->other_routes)\n", "	if (node)\n"),
        (Catch(_OTHER, "lost"), Catch(_SECOND, "leaves by the second")),
        "bpf-skip-fib",
    ),
    Mutant(
        "the first uplink's routes lead nowhere",
        patch(
            "forward.c",
            _FOUND,
            _FOUND + "\n	if (out.ifindex == node->nic_ifindex)\n		out.ifindex += 4000;",
        ),
        (Catch(_OTHER, "lost over the uplink"), Catch(_SECOND, "lost over the first")),
        "bpf-skip-fib",
    ),
    Mutant(
        "a lightweight tunnel's route dropped",
        patch(
            "forward.c", "	case FIB_FWD_DISABLED:\n", "	case FIB_FWD_DISABLED:\n	case 6:\n"
        ),
        (Catch(_TUNNEL, "lost"),),
    ),
    Mutant(
        "a lightweight tunnel's route counted as none",
        patch("count.c", "	u32 key = result;\n", "	u32 key = result == 6 ? 4 : result;\n"),
        (Catch(_TUNNEL, "lookups"),),
    ),
    Mutant(
        "a pod's own MTU not looked at",
        _NO_CHECK,
        (Catch(_OWN_MTU, "left to the stack"),),
    ),
    Mutant(
        "redirect_peer beyond a pod's own MTU",
        _NO_CHECK,
        (Catch(_OWN_MTU, "lost"),),
        posing_as="legacy",
    ),
)
