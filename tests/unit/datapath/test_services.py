# SPDX-License-Identifier: Apache-2.0
"""Services in use: what no node can have is refused with one line, and kube-proxy's rules of it."""

import re

import pytest

from harness.datapath import NodeSettings
from harness.datapath.kube_proxy import node_rules, own_chains
from harness.datapath.services import Backend, Service, ServiceError, gone
from harness.plumbing.errors import UnknownNameError
from harness.topology import Family

CIP = {4: "172.16.200.1", 6: "fd00:5e::200:1"}
POD, FAR = {4: "10.0.1.11", 6: "fd00:10:0:1::b"}, {4: "10.0.2.10", 6: "fd00:10:0:2::a"}
OUTSIDE = {4: "203.0.113.1", 6: "2001:db8:113::1"}
HERE = frozenset(POD.values())


def service(family=4, backends=(POD,), address="", port=80, protocol="tcp", **options):
    ends = tuple(Backend(each[family], 8080) for each in backends)
    return Service(address or CIP[family], port, protocol, ends, **options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"address": "172.16.200"}, "service address '172.16.200' is not an IP address"),
        ({"protocol": "sctp"}, "protocol 'sctp' cannot be translated: use tcp or udp"),
        ({"port": 0}, "service 172.16.200.1:0/tcp: port 0 is not between 1 and 65535"),
        ({"port": 65_536}, "port 65536 is not between 1 and 65535"),
        ({"node_port": 29_999}, "NodePort 29999 is not between 30000 and 32767"),
        ({"node_port": 32_768}, "NodePort 32768 is not between 30000 and 32767"),
        ({"external": ("2001:db8::1",)}, "external address 2001:db8::1 is ipv6: name addresses of"),
        ({"external": ("out",)}, "external address 'out' is not an IP address"),
        ({"affinity": -1}, "an affinity of -1 s: use 0 or more"),
    ],
)
def test_a_service_that_no_node_can_have_is_refused(options, words):
    with pytest.raises(ServiceError, match=re.escape(words)):
        service(**options)


@pytest.mark.parametrize(
    ("backend", "words"),
    [
        (Backend(POD[6], 8080), "backend fd00:10:0:1::b is ipv6: name backends of ipv4"),
        (Backend("pod2", 8080), "backend 'pod2' is not an IP address"),
        (Backend(POD[4], 0), "backend 10.0.1.11: port 0 is not between 1 and 65535"),
    ],
)
def test_a_backend_that_cannot_answer_is_refused(backend, words):
    with pytest.raises(ServiceError, match=re.escape(words)):
        Service(CIP[4], 80, "tcp", (backend,))


@pytest.mark.parametrize("node_port", [0, 30_000, 32_767])
def test_bounds_belong_to_the_range(node_port):
    assert service(node_port=node_port, port=65_535).port == 65_535


def asked(*services, mode="bpf", **options):
    return NodeSettings(services=mode, used_services=services, **options)


@pytest.mark.parametrize(
    ("services", "options", "words"),
    [
        ((service(address="10.9.9.9"),), {}, "service 10.9.9.9:80/tcp is in no service network"),
        ((service(), service()), {}, "two services are asked at 172.16.200.1, tcp 80"),
        (
            (service(node_port=30_080), service(address="172.16.200.2", node_port=30_080)),
            {}, "two services are asked at ipv4, tcp 30080",
        ),
        ((), {"service_networks": ("172.16.0.0/16", "172.16.4.0/24")}, "172.16.4.0/24 overlap"),
        ((), {"service_networks": ("10.0.0.0/8",)}, "10.0.0.0/8 overlaps the pods' 10.0.0.0/16: "),
        ((), {"service_networks": ("172.16.0.1/16",)}, "service network '172.16.0.1/16': "),
        ((service(),), {"mode": "none"}, "services='none' translates none of used_services: use"),
    ],
)  # fmt: skip
def test_services_that_cannot_stand_together_are_refused(services, options, words):
    with pytest.raises(UnknownNameError, match=re.escape(words)):
        asked(*services, **options)


def test_one_front_may_have_both_protocols_and_one_node_port_both_families():
    asked(
        service(node_port=30_080),
        service(protocol="udp", node_port=30_080),
        service(6, node_port=30_080),
    )


def test_what_nobody_asked_for_is_in_no_record():
    assert "used_services" not in NodeSettings().facts()
    facts = asked(service(node_port=30_080)).facts()
    assert facts["used_services"][0]["node_port"] == 30_080


def test_a_backend_is_gone_when_no_service_has_it():
    both, one = service(backends=(POD, FAR)), service(backends=(POD,))
    other = service(protocol="udp", backends=(FAR,))
    assert gone([both], [one]) == {("tcp", Backend(FAR[4], 8080))}
    assert gone([both, other], [both]) == {("udp", Backend(FAR[4], 8080))}
    assert gone([one], [both]) == set()


# ---------------------------------------------------------------------------- kube-proxy's rules


def rules(family, *services, here=HERE):
    return node_rules(family, 0, True, ("enp0s8",), services, here).text.splitlines()


def of(lines, kind):
    """The rules of chains of a kind, without their hashes."""
    short = [re.sub(r"(KUBE-[A-Z]{3})-[0-9A-F]{16}", r"\1", line) for line in lines]
    return [line.split(None, 2)[2] for line in short if line.startswith(f"-A {kind} ")]


def test_idle_rules_are_as_they_were(family):
    assert node_rules(family, 10).text == node_rules(family, 10, used=()).text
    others = tuple(service(each) for each in (4, 6) if each != family)
    assert node_rules(family, 10).text == node_rules(family, 10, used=others).text


def test_every_chain_is_declared_once_in_its_table(family):
    lines = rules(
        family,
        service(family, (POD, FAR), node_port=30_080, affinity=1, external=(OUTSIDE[family],)),
        service(family, (), port=81, node_port=30_081),
        service(family, (FAR,), port=82, node_port=30_082, local=True),
        service(family, port=83, protocol="udp", node_port=30_083, local=True),
    )
    middle = lines.index("*nat")
    for table in (lines[:middle], lines[middle:]):
        declared = [line.split()[0][1:] for line in table if line.startswith(":")]
        used = [line.split()[1] for line in table if line.startswith("-A ")]
        targets = {target for line in table for target in re.findall(r"-j (KUBE\S+)", line)}
        assert len(set(declared)) == len(declared)
        builtin = {"PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"}
        assert set(used) | targets <= set(declared) | builtin


def test_the_node_ports_come_last():
    lines = rules(Family.ipv4, service(node_port=30_080), service(port=81))
    services = of(lines, "KUBE-SERVICES")
    assert services[-1] == "-m addrtype --dst-type LOCAL -j KUBE-NODEPORTS"
    assert services[0] == "-d 172.16.200.1/32 -p tcp -m tcp --dport 80 -j KUBE-SVC"


def test_what_comes_from_outside_is_masqueraded_unless_the_service_is_local():
    assert of(rules(Family.ipv4, service(node_port=30_080)), "KUBE-EXT") == [
        "-j KUBE-MARK-MASQ", "-j KUBE-SVC",
    ]  # fmt: skip
    inside = "-s 10.0.0.0/16 -j KUBE-SVC"
    own = "-m addrtype --src-type LOCAL -j KUBE"
    lines = rules(Family.ipv4, service(backends=(POD, FAR), node_port=30_080, local=True))
    assert of(lines, "KUBE-EXT") == [inside, f"{own}-MARK-MASQ", f"{own}-SVC", "-j KUBE-SVL"]
    assert len(of(lines, "KUBE-SVL")) == 1
    none_here = rules(Family.ipv4, service(backends=(FAR,), node_port=30_080, local=True))
    assert of(none_here, "KUBE-EXT") == [inside, f"{own}-MARK-MASQ", f"{own}-SVC"]
    assert of(none_here, "KUBE-EXTERNAL-SERVICES") == [
        "-m addrtype --dst-type LOCAL -p tcp -m tcp --dport 30080 -j DROP"
    ]


def test_what_is_written_anew_leaves_the_kernels_chains_alone(family):
    text = own_chains(node_rules(family, 1, used=(service(family, node_port=30_080),)))
    assert not re.search(r"^(:|-A )(FORWARD|INPUT|OUTPUT|PREROUTING|POSTROUTING)\b", text, re.M)
    assert text.count("COMMIT\n") == 2
    assert "-j DNAT" in text


def test_nobody_to_answer_is_said_in_the_filter_table():
    lines = rules(Family.ipv6, service(6, (), node_port=30_080, external=(OUTSIDE[6],)))
    at = "-p tcp -m tcp --dport"
    assert of(lines, "KUBE-SERVICES")[0] == f"-d {CIP[6]}/128 {at} 80 -j REJECT"
    assert of(lines, "KUBE-EXTERNAL-SERVICES") == [
        f"-d {OUTSIDE[6]}/128 {at} 80 -j REJECT",
        f"-m addrtype --dst-type LOCAL {at} 30080 -j REJECT",
    ]
    assert not [line for line in lines if "KUBE-SVC" in line]


def test_each_endpoint_is_as_likely_as_another_and_marks_its_own_requests():
    lines = rules(Family.ipv4, service(backends=(POD, FAR), affinity=0.4))
    assert of(lines, "KUBE-SVC")[1:] == [
        *["-m recent --name KUBE-SEP --rcheck --seconds 1 --reap -j KUBE-SEP"] * 2,
        "-m statistic --mode random --probability 0.5000000000 -j KUBE-SEP", "-j KUBE-SEP",
    ]  # fmt: skip
    assert of(lines, "KUBE-SEP")[:2] == [
        "-s 10.0.1.11/32 -j KUBE-MARK-MASQ",
        "-p tcp -m tcp -m recent --name KUBE-SEP --set -j DNAT --to-destination 10.0.1.11:8080",
    ]
