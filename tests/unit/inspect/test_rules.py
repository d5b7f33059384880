# SPDX-License-Identifier: Apache-2.0
"""Rules as nft and both kinds of iptables print them."""

from harness.inspect.rules import Chain, Flowtable, Rules, take_legacy, take_nft

NFT = """\
table ip filter {
\tchain FORWARD {
\t\ttype filter hook forward priority filter; policy drop;
\t\tcounter jump KUBE-FORWARD
\t\tiifname "docker0" accept
\t}

\tchain KUBE-FORWARD {
\t\tct state invalid drop
\t}
}
table ip nat {
\tchain KUBE-POSTROUTING {
\t\tcounter xt target "MASQUERADE"
\t}

\tchain POSTROUTING {
\t\ttype nat hook postrouting priority srcnat; policy accept;
\t\tip saddr 10.0.0.0/8 masquerade
\t}
}
table ip kube-proxy {
\tchain services {
\t}
}
table inet fast {
\tflowtable pods {
\t\thook ingress priority filter
\t\tdevices = { lxc1, "lxc.2" }
\t}

\tchain forward {
\t\ttype filter hook forward priority filter; policy accept;
\t\tmeta l4proto tcp flow add @pods
\t}
}
"""
LEGACY = """\
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [3:252]
:KUBE-FORWARD - [0:0]
-A INPUT -j ACCEPT
-A FORWARD -j KUBE-FORWARD
-A FORWARD -j ACCEPT
COMMIT
*nat
:POSTROUTING ACCEPT [0:0]
-A POSTROUTING -j MASQUERADE
COMMIT
"""


def test_what_nft_prints():
    rules = Rules()
    take_nft(rules, NFT.splitlines())
    assert rules.forward == [
        Chain("ip filter", "FORWARD", "drop", 2), Chain("inet fast", "forward", "accept", 1),
    ]  # fmt: skip
    assert rules.kube_proxy == {"iptables (nft)": 2, "nft": 1}
    assert (rules.masquerade, rules.offloads) == (2, 1)
    assert rules.flowtables == [Flowtable("inet fast", "pods", ("lxc1", "lxc.2"))]


def test_what_the_older_iptables_prints():
    rules = Rules()
    take_legacy(rules, "ip", LEGACY.splitlines())
    assert rules.forward == [Chain("ip filter (legacy)", "FORWARD", "drop", 2)]
    assert rules.kube_proxy == {"iptables (legacy)": 1}
    assert rules.masquerade == 1


def test_no_rules():
    rules = Rules()
    take_nft(rules, [])
    take_legacy(rules, "ip", [])
    assert rules == Rules()
