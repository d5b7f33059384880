# SPDX-License-Identifier: Apache-2.0
"""BPF or Legacy, for every combination of settings and probe results."""

import itertools

import pytest

from harness.datapath import DATAPATHS, Claims, NodeSettings, decide, find, probes
from harness.datapath.features import FEATURES, HELPERS
from harness.datapath.probes import Probe
from harness.datapath.requirements import REQUIREMENTS, STAGES
from harness.plumbing.errors import UnknownNameError
from harness.topology import Family

ROUTING = ("direct", "tunnel", "none")
WHO = ("none", "bpf", "iptables")
#: Written down here once more, so that a slip in the registry does not pass.
NEEDS = {
    "bpf": {"redirect_peer", "redirect_neigh", "fib_lookup"},
    "bpf-redirect": {"redirect_neigh", "fib_lookup"},
    "bpf-skip-fib": {"redirect_peer", "redirect_neigh"},
    "bpf-tcx": {"redirect_peer", "redirect_neigh", "fib_lookup", "tcx"},
    "bpf-netkit": {"redirect_peer", "redirect_neigh", "fib_lookup", "tcx", "netkit"},
}


NEEDED = sorted(set().union(*NEEDS.values()))


def kernel(*lacking):
    return {name: Probe(name not in lacking, "unknown func") for name in NEEDED}


def unmet(needs, host_routing, routing, services, masquerade, lacking):
    """What conformance.md §2 says, for programs without tunnel, services and masquerading."""
    found = set(needs) & set(lacking)
    if not host_routing:
        found.add("host_routing")
    if routing != "direct":
        found.add("routing")
    if services != "none":
        found.add("services")
    if masquerade != "none":
        found.add("masquerade")
    return found


@pytest.mark.parametrize("name", NEEDS)
def test_every_combination(name):
    subsets = itertools.chain.from_iterable(
        itertools.combinations(NEEDED, size) for size in range(len(NEEDED) + 1)
    )
    combinations = itertools.product((True, False), ROUTING, WHO, WHO, list(subsets))
    count = 0
    for host_routing, routing, services, masquerade, lacking in combinations:
        asked = NodeSettings(host_routing, routing, services, masquerade)
        decision = decide(DATAPATHS[name].needs, asked, kernel(*lacking))
        expected = unmet(NEEDS[name], host_routing, routing, services, masquerade, lacking)
        assert {check.requirement for check in decision.checks if not check.met} == expected
        assert decision.bpf == (not expected)
        assert len(decision.reasons) == len(expected)
        head = "Host Routing: BPF" if not expected else "Host Routing: Legacy ("
        assert str(decision).startswith(head)
        assert all(reason in str(decision) for reason in decision.reasons)
        count += 1
    assert count == 2 * 3 * 3 * 3 * 2 ** len(NEEDED)


@pytest.mark.parametrize(
    ("asked", "stage"),
    [
        ({"services": "bpf"}, "service"),
        ({"masquerade": "bpf"}, "masquerade"),
        ({"routing": "tunnel"}, "encap"),
    ],
)
def test_a_stage_that_a_datapath_has_is_no_reason_for_legacy(asked, stage):
    needs, settings = DATAPATHS["bpf"].needs, NodeSettings(**asked)
    assert decide(needs, settings, kernel(), frozenset({stage})).bpf
    assert not decide(needs, settings, kernel(), STAGES - {stage}).bpf


def test_who_claims_services_has_their_stage():
    assert Claims(services=frozenset({Family.ipv6})).stages == {"service"}
    assert Claims().stages == frozenset()


def test_every_datapath_that_bypasses_is_judged():
    assert {name for name, entry in DATAPATHS.items() if entry.claims.bypasses_stack} == set(NEEDS)
    assert not DATAPATHS["legacy"].needs


def test_every_requirement_is_a_row_of_the_decision():
    decision = decide(DATAPATHS["bpf"].needs, NodeSettings(), kernel())
    assert [check.requirement for check in decision.checks] == [
        "host_routing", "redirect_peer", "redirect_neigh", "fib_lookup", "routing", "services",
        "masquerade", "policy",
    ]  # fmt: skip
    assert len(decision.checks) == len(REQUIREMENTS) + len(DATAPATHS["bpf"].needs)
    assert str(decision) == "Host Routing: BPF"


def test_a_reason_names_the_helper_its_release_and_what_the_kernel_said():
    decision = decide(DATAPATHS["bpf"].needs, NodeSettings(), kernel("redirect_peer"))
    assert decision.reasons == ("the kernel lacks bpf_redirect_peer (since 5.10): unknown func",)


def test_several_reasons_are_all_given():
    decision = decide(DATAPATHS["bpf"].needs, NodeSettings(False, "none"), kernel())
    assert str(decision) == (
        "Host Routing: Legacy (switched off by the user;"
        " neither direct routing nor a tunnel is configured)"
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [("routing", "vxlan"), ("services", ""), ("masquerade", "nft"), ("host_routing", "yes")],
)
def test_an_unknown_setting_is_refused_with_the_known_ones(field, value):
    with pytest.raises(UnknownNameError, match=f"setting {field}='{value}' is unknown: use "):
        NodeSettings(**{field: value})


@pytest.mark.parametrize("services", [-1, 20_001])
def test_a_number_of_services_out_of_bounds_is_refused(services):
    with pytest.raises(UnknownNameError, match="not between 0 and 20000"):
        NodeSettings(legacy_services=services)


def test_an_unknown_datapath_is_refused_with_the_known_ones():
    with pytest.raises(UnknownNameError, match="datapath 'bfp' is unknown: use legacy, bpf, "):
        find("bfp")


def test_a_need_that_no_row_of_the_table_describes_is_refused():
    with pytest.raises(UnknownNameError, match="feature 'redirect_pear' is unknown: use redirect_"):
        decide(frozenset({"redirect_pear"}), NodeSettings(), kernel())


def test_a_need_may_be_a_hook():
    decision = decide(frozenset({"tcx"}), NodeSettings(), {"tcx": Probe(False, "no such command")})
    assert decision.reasons == ("the kernel lacks hook tcx (since 6.6): no such command",)


@pytest.mark.parametrize("name", HELPERS)
def test_a_probe_calls_its_helper_and_ends(name):
    number, arguments = FEATURES[name].probe.args
    code = probes.call(number, arguments)
    instructions = [code[at : at + 8] for at in range(0, len(code), 8)]
    calls = [int.from_bytes(i[4:], "little") for i in instructions if i[0] == 0x85]
    assert calls == [number]
    assert instructions[-1][0] == 0x95
