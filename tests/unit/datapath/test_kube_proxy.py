# SPDX-License-Identifier: Apache-2.0
"""The legacy path's rules: kube-proxy's shape, and the same text for the same question."""

import re

import pytest

from harness.datapath.kube_proxy import node_rules
from harness.topology import Family

#: Of one service with two endpoints: its portal, its masquerading mark, and three an endpoint.
RULES_PER_SERVICE = 2 + 3 * 2


@pytest.mark.parametrize("services", [0, 1, 100, 1000])
def test_rules_grow_with_the_services(family, services):
    base = node_rules(family, 0).rules
    assert node_rules(family, services).rules == base + services * RULES_PER_SERVICE


def test_the_digest_tells_rules_apart_and_stays(family):
    assert node_rules(family, 100).sha256 == node_rules(family, 100).sha256
    digests = {node_rules(family, n, m).sha256 for n in (0, 1, 100) for m in (True, False)}
    assert len(digests) == 6
    assert re.fullmatch(r"[0-9a-f]{12}", node_rules(family, 1).sha256)


def test_every_chain_that_is_jumped_to_is_declared_once(family):
    text = node_rules(family, 50).text
    declared = re.findall(r"^:(\S+)", text, re.M)
    assert len(set(declared)) == len(declared)
    targets = set(re.findall(r"-j (\S+)", text))
    builtin = {"DROP", "ACCEPT", "RETURN", "MARK", "MASQUERADE", "DNAT"}
    assert targets <= set(declared) | builtin
    assert set(re.findall(r"^-A (\S+)", text, re.M)) <= set(declared) | {
        "PREROUTING", "OUTPUT", "POSTROUTING"
    }  # fmt: skip


def test_it_is_two_whole_tables_with_conntrack_first(family):
    lines = node_rules(family, 3).text.splitlines()
    assert [line for line in lines if line.startswith(("*", "COMMIT"))] == [
        "*filter", "COMMIT", "*nat", "COMMIT"
    ]  # fmt: skip
    assert node_rules(family, 3).text.endswith("COMMIT\n")
    assert "-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP" in lines


def test_addresses_are_of_the_family(family):
    text = node_rules(family, 300).text
    other = re.search(r"\d+\.\d+\.\d+\.\d+", text)
    assert (other is None) == (family is Family.ipv6)
    assert ("fd00:" in text) == (family is Family.ipv6)


def test_masquerading_is_on_request():
    with_it, without = (node_rules(Family.ipv4, 0, asked).text for asked in (True, False))
    assert "-j CNI-MASQUERADE" in with_it
    assert "-j CNI-MASQUERADE" not in without


def test_chain_names_fit_into_iptables():
    chains = re.findall(r"^:(\S+)", node_rules(Family.ipv6, 20).text, re.M)
    assert max(map(len, chains)) < 29  # XT_EXTENSION_MAXNAMELEN, uapi/linux/netfilter/x_tables.h
