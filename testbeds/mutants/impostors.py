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
            Catch(t.LEGS, t.TABLE),
            Catch(t.LEGS_FAR, t.TABLE),
            Catch(t.B1 + "test_hr01_programs_attached_and_hit", "assert attached == set()"),
            Catch(t.B1 + "test_hr02_netfilter_hooks", t.ALL_HOOKS),
            Catch(t.B1 + "test_hr03_conntrack", "assert entries =="),
            Catch(t.B1 + "test_hr04_forward_policy_drop", t.LOST),
            Catch(t.B2 + "test_hr05_netdev_drop_on_the_nic", t.LOST, {"hook": "ingress"}),
            Catch(t.B1 + "test_hr11_tc_egress_drop_on_the_servers_lxc", t.LOST),
            Catch(t.B1 + "test_hr43_host_route_deleted_and_rp_filter_on", t.LOST),
            Catch(t.B1 + "test_hr46_backlog_enqueues_a_round_trip", "min(rounds)"),
            Catch(t.OTHERHOST, "assert replied =="),
        ),
        posing_as="legacy",
    ),
    Mutant(
        "legacy poses as BPF",
        (),
        (
            Catch(t.LEGS, t.TABLE),
            Catch(t.LEGS_FAR, t.TABLE),
            Catch(t.B1 + "test_hr02_netfilter_hooks", t.ALL_HOOKS),
            Catch(t.B1 + "test_hr04_forward_policy_drop", t.LOST),
            Catch(
                "one_node/test_decision::test_hr06_every_requirement_met_means_bpf",
                "entry.decision) ==",
            ),
        ),
        "legacy",
        posing_as="bpf",
    ),
)
