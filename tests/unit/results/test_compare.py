# SPDX-License-Identifier: Apache-2.0
"""`hostroute results compare`: what is found, and what it and `gate` refuse."""

import json

import pytest

from harness.plumbing.errors import RecordError, UnknownNameError, UnlikeError
from harness.results.comparability import KINDS
from tests.support import records
from tests.support.results_desk import ONE, refused


def test_compare_of_two_runs_of_the_same_finds_no_difference(put, results):
    code, out, _ = results("compare", put("a", seed=1), put("b", seed=2))
    assert code == 0
    assert "[across" not in out
    rows = [line for line in out.splitlines() if "ratio" in line]
    assert len(rows) == 7  # legacy, and three arms by their values and against legacy
    assert all("no difference found" in row for row in rows)


@pytest.mark.parametrize(("factor", "word"), [(1.05, "slower by"), (0.95, "faster by")])
def test_compare_finds_what_changed_and_only_that(put, results, factor, word):
    old, new = put("a", seed=1), put("b", seed=2, factors={"bpf": factor})
    _, out, _ = results("compare", old, new)
    rows = [line.split() for line in out.splitlines() if word in line]
    assert [row[:3] for row in rows] == [["bpf", rows[0][1], "µs"], ["bpf", "against", "legacy"]]


def test_compare_knows_which_direction_is_better(put, results):
    measure = {"measures": ("throughput-tcp-1",)}
    old, new = put("a", seed=1, **measure), put("b", seed=2, factors={"bpf": 1.2}, **measure)
    _, out, _ = results("compare", old, new)
    assert out.count("faster by") == 2
    assert "slower" not in out


def test_compare_tells_a_drift_of_the_machine_from_a_change_of_the_datapath(put, results):
    old, new = put("a", seed=1), put("b", seed=2, factors={"*": 1.2})
    _, out, _ = results("compare", old, new)
    slower = [line.split()[:2] for line in out.splitlines() if "slower" in line]
    assert len(slower) == 4  # every arm's values
    assert not any(word == "against" for _, word in slower)


def test_compare_for_machines(put, results):
    old, new = put("a", seed=1), put("b", seed=2, factors={"bpf": 1.05}, builds=1)
    code, out, _ = results("compare", old, new, "--json")
    document = json.loads(out)
    assert code == 0
    assert (document["across"], document["unlike"]) == ([], [])
    assert {change["verdict"] for change in document["changes"]} == {"no difference found"}
    assert {change["high"] for change in document["changes"]} == {None}  # of one build, no end


def test_compare_shows_what_kernels_do_otherwise(put, results):
    old = put("a", kernel="6.12.107", conformance=records.conformance())
    new = put("b", seed=2, conformance=records.conformance(mark_kept=False, failed="bpf"))
    code, out, _ = results("compare", old, new, "--across", "kernel")
    assert code == 0
    assert "6 differences of behaviour in 19 tests of both" in out
    assert "HR-37 testbeds/one_node/test_border.py::test_hr37_mark_and_tstamp_across_the_border" \
           "[bpf-ipv6]: mark 119 -> 0" in out  # fmt: skip
    assert "[bpf-ipv4]: outcome passed -> failed" in out


def test_compare_shows_what_is_not_claimed_any_more_and_what_is_now(put, results):
    tests = records.conformance()
    bare = [tests[0] | {"outcome": "not claimed", "reason": "source_check = ipv4"}, *tests[1:]]
    every, without = put("a"), put("b", conformance=bare)
    for pair, said in (((every, without), "passed -> not claimed"),
                       ((without, every), "not claimed -> passed")):  # fmt: skip
        code, out, _ = results("compare", *pair)
        assert (code, "1 differences of behaviour in 19 tests of both" in out) == (0, True), out
        assert f"  HR-07 {tests[0]['test']}: outcome {said}" in out.splitlines()
    assert "0 differences of behaviour" in results("compare", without, without)[1]


def test_compare_of_conformance_alone(put, results):
    parts = {"measures": (), "growth": []}
    code, out, _ = results("compare", put("a", **parts), put("b", seed=2, **parts))
    assert code == 0
    assert "0 differences of behaviour in 19 tests of both" in out


def test_compare_of_what_has_nothing_in_common(put, results):
    alone = {"conformance": [], "growth": []}
    old, new = put("a", **alone), put("b", measures=("connections-tcp",), **alone)
    assert "nothing in common" in refused(results("compare", old, new), RecordError)


def test_compare_says_what_one_of_both_lacks(put, results):
    old, new = put("a"), put("b", seed=2, measures=("connections-tcp",), growth=[])
    code, out, _ = results("compare", old, new)
    assert code == 0
    curve = "round-trip-udp-1 one_node ipv4 over pods at 1, 10, 100, 1000: bpf"
    for text in ("A: connections-tcp one_node ipv4: not measured",
                 "B: round-trip-udp-1 one_node ipv4: not measured",
                 f"B: {curve} not fitted"):  # fmt: skip
        assert f"missing from {text}" in out.splitlines()
    absent = json.loads(results("compare", old, new, "--json")[1])["missing"]
    assert absent["old"] == ["connections-tcp one_node ipv4: not measured"]
    assert len(absent["new"]) == 5


UNLIKE = {
    "cpu_model": ({"facts": {"cpu_model": "Xeon"}}, "machine", "cpu_model AMD EPYC 9B14 | Xeon"),
    "cpus": ({"facts": {"cpus": 64}}, "machine", "cpus 2 | 64"),
    "virtualised": ({"facts": {"virtualised": False}}, "machine", "virtualised True | False"),
    "guest": ({"facts": {"accelerator": "kvm"}}, "machine", "accelerator not known | kvm"),
    "machine": (
        {"facts": {"machine_id_hash": "0" * 16}}, "machine", "machine_id_hash 9f86d081884c7d65 | 0",
    ),
    "kernel": ({"kernel": "6.12.107"}, "kernel", "kernel 6.18.44 | 6.12.107"),
    "build": ({"facts": {"kernel_version": "#2"}}, "kernel", "kernel_version #1 SMP PREEMPT"),
    "rules": ({"services": 1000}, "rules", "1000 services: ipv4 8005 rules"),
    "governor": ({"facts": {"governor": "powersave"}}, "settings", "governor not known | powers"),
    "sysctl": (
        {"facts": {"sysctls": {"core.bpf_jit_enable": "0"}}}, "settings", "bpf_jit_enable 1 | 0",
    ),
    "spectre": (
        {"facts": {"cmdline": "nopti nospectre_v2 mds=off quiet"}}, "settings",
        "kernel command line (none) | mds=off nopti nospectre_v2",
    ),
    "mitigations": (
        {"facts": {"cmdline": "quiet mitigations=off"}}, "settings",
        "kernel command line (none) | mitigations=off",
    ),
}  # fmt: skip


@pytest.mark.parametrize("action", ["compare", "gate"])
@pytest.mark.parametrize("name", UNLIKE)
def test_what_is_unlike_is_refused_unless_named_and_then_marked(put, results, action, name):
    changes, kind, words = UNLIKE[name]
    pair = put("a", seed=1), put("b", seed=2, **changes)
    line = refused(results(action, *pair), UnlikeError)
    assert f"{kind}: " in line
    assert words in line
    assert line.rstrip().endswith(f"name it: --across {kind}")
    other = "kernel" if kind != "kernel" else "machine"
    line = refused(results(action, *pair, "--across", other), UnlikeError)
    assert f"--across {','.join(sorted((kind, other), key=list(KINDS).index))}\n" in line

    code, out, _ = results(action, *pair, "--across", kind)
    assert code == 0
    assert out.splitlines()
    assert all(line.startswith(f"[across {kind}]") for line in out.splitlines())
    assert words in out
    document = json.loads(results(action, *pair, "--across", kind, "--json")[1])
    assert document["across"] == [kind]


def test_curves_of_unlike_rules_are_refused(put, results):
    """Also where nothing but curves was measured."""
    alone = {"measures": (), "conformance": []}
    many = [records.growth("pods", services=10_000)]
    old, new = put("a", **alone, growth=[records.growth("pods")]), put("b", **alone, growth=many)
    assert "10000 services" in refused(results("gate", old, new), UnlikeError)
    assert results("gate", old, new, "--across", "rules")[0] == 0
    same = [records.growth("services", services=10_000)]  # the axis changes them anyway
    old, new = (
        put("c", **alone, growth=[records.growth("services")]),
        put("d", **alone, growth=same),
    )
    assert results("gate", old, new)[0] == 0


def test_an_unknown_machine_id_is_no_difference(put, results):
    new = put("b", facts={"machine_id_hash": ""})
    assert results("compare", put("a"), new)[0] == 0


def test_other_boots_packages_disks_and_programs_are_no_difference(put, results, tmp_path):
    facts = {"boot_id": "x", "packages": {}, "cmdline": "root=/dev/vdb1 quiet"}
    document = records.record(**ONE, facts=facts)
    document["comparisons"][0]["arms"]["bpf"]["nodes"]["master"] = (
        "bpf (from_container=0123456789abcdef)"
    )
    (tmp_path / "x.json").write_text(json.dumps(document))
    assert results("compare", put("a"), tmp_path / "x.json")[0] == 0


def test_an_interface_of_another_mtu_is_a_difference(put, results, tmp_path):
    document = records.record(**ONE)
    host = document["comparisons"][0]["arms"]["bpf"]["hosts"]["pod1"]
    host["interfaces"]["eth0"] |= {"mtu": 9000, "offloads": []}
    (tmp_path / "x.json").write_text(json.dumps(document))
    line = refused(results("compare", put("a"), tmp_path / "x.json"), UnlikeError)
    assert "settings: pod1.interfaces.eth0.mtu 1500 | 9000" in line
    assert "only in one: pod1.interfaces.eth0.offloads tx-checksumming | -" in line


def _on(device):
    """Whole records whose arms, tests or exact figures had their pods on a device; None: unsaid."""
    many = [device] if device else []
    arms = records.record(**ONE, conformance=[], growth=[], exact=[])
    arms["comparisons"][0]["arms"]["bpf"]["pod_device"] = device
    curve = records.growth("pods")
    curve["arms"]["bpf"]["pod_device"] = device
    tests = [test | {"pod_devices": many} for test in records.conformance()]
    exact = [figure | {"pod_device": device} for figure in records.exact()]
    bare: dict[str, object] = {"measures": (), "conformance": [], "growth": [], "exact": []}
    return {
        "arms": arms,
        "curves": records.record(**bare | {"growth": [curve]}),
        "tests": records.record(**bare | {"conformance": tests}),
        "exact": records.record(**bare | {"exact": exact}),
    }


@pytest.mark.parametrize("action", ["compare", "gate"])
@pytest.mark.parametrize("part", ["arms", "curves", "tests", "exact"])
def test_pods_on_unlike_devices_are_refused(results, tmp_path, action, part):
    paths = {}
    for device in ("veth", "netkit", "netkit-l3", None):
        paths[device] = tmp_path / f"{device}.json"
        paths[device].write_text(json.dumps(_on(device)[part]))
    for pair in (("veth", "netkit"), ("netkit", "netkit-l3")):
        line = refused(results(action, *(paths[each] for each in pair)), UnlikeError)
        assert f"settings: pods' device (bpf) {pair[0]} | {pair[1]}" in line
        marked = results(action, *(paths[each] for each in pair), "--across", "settings")
        assert marked[0] == 0
    for pair in (("veth", "veth"), ("veth", None), (None, "netkit")):  # of some nothing is known
        assert results(action, *(paths[each] for each in pair))[0] == 0


def test_a_kind_that_does_not_exist(put, results):
    line = refused(results("compare", put("a"), put("b"), "--across", "colour"), UnknownNameError)
    assert "--across 'colour' is unknown: use machine, kernel, rules, settings" in line
