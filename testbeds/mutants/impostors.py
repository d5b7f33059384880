# SPDX-License-Identifier: Apache-2.0
"""Mutants: the legacy arm is not what it says it is."""

from __future__ import annotations

from testbeds.mutants import targets as t
from testbeds.mutants.mutant import Catch, Mutant

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "BPF poses as legacy",
        (),
        (
            Catch(t.LEGS, "legs"),
            Catch(t.LEGS_FAR, "legs"),
            Catch(t.B1 + "test_hr01_programs_attached_and_hit", "no attachments"),
            Catch(t.B1 + "test_hr02_netfilter_hooks", "hooks"),
            Catch(t.B1 + "test_hr03_conntrack", "conntrack"),
            Catch(t.B1 + "test_hr04_forward_policy_drop", "lost"),
            Catch(t.B2 + "test_hr05_netdev_drop_on_the_nic", "lost", {"hook": "ingress"}),
            Catch(t.B1 + "test_hr11_tc_egress_drop_on_the_servers_lxc", "lost"),
            Catch(t.B1 + "test_hr43_host_route_deleted_and_rp_filter_on", "lost"),
            Catch(t.B1 + "test_hr46_backlog_enqueues_a_round_trip", "backlog enqueues"),
            Catch(t.OTHERHOST, "replies"),
        ),
        posing_as="legacy",
    ),
    Mutant(
        "legacy poses as BPF",
        (),
        (
            Catch(t.LEGS, "legs"),
            Catch(t.LEGS_FAR, "legs"),
            Catch(t.B1 + "test_hr02_netfilter_hooks", "hooks"),
            Catch(t.B1 + "test_hr04_forward_policy_drop", "lost"),
            Catch(
                "one_node/test_decision::test_hr06_every_requirement_met_means_bpf",
                "attachments",
            ),
        ),
        "legacy",
        posing_as="bpf",
    ),
)
