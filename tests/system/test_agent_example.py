# SPDX-License-Identifier: Apache-2.0
"""The example of an agent: judged by the bundled suites, and each of its claims falsified once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from harness import results
from harness.datapath import CLAIMS
from harness.datapath.brought import read
from harness.results.assertion import NOT_CLAIMED
from harness.testbed import Testbed
from harness.topology import TESTBEDS, Family
from testbeds.conftest import metadata  # noqa: F401  # what is called asks for it
from testbeds.controls import failed_assertion, find_test
from testbeds.mutants import services as s
from testbeds.mutants import targets as t
from testbeds.mutants.mutant import Catch
from tests.support.agent_example import EXAMPLE, NAME, example
from tests.support.elf_example import TRIMMING, commands
from tests.support.run_cli import CLI, ROOT, end, pytest_of, start

pytestmark = pytest.mark.usefixtures("hr_machine")
DEADLINE = 900.0  # seconds; it takes 60, and more on a busy machine


@pytest.mark.parametrize("name", ["one_node", "two_node"])
def test_it_forwards_and_says_so(name, tmp_path):
    datapath = read(example(tmp_path))
    with Testbed(TESTBEDS.find(name).topology, datapath, name=name, insist=True) as testbed:
        for family in Family:
            testbed.family = family
            assert testbed.pod1.ping(testbed.pod2).lost == 0
        installed = testbed.datapath_of("master").installed
        hooks = {(row.interface, row.hook, row.program) for row in installed.attachments()}
        wire = {("enp0s8", "tcx", "from_wire")} if name == "two_node" else set()
        pods = {(pod.lxc, "tcx", "from_pod") for pod in testbed.network.nodes[0].pods}
        assert hooks == pods | wire
        report = installed.report()
        assert "master: " in report[f"agent ({NAME})"]
        assert "example-agent 1.0" in installed.describe()


def test_its_readme_compiles_it_as_the_tests_do():
    wanted = "clang -O2 -g -Wall -target bpf -I/usr/include/$(uname -m)-linux-gnu"
    (line,) = [line for line in commands((EXAMPLE / "README.md").read_text()) if "clang" in line]
    assert line == f"{wanted} -c datapath.bpf.c -o datapath.bpf.o"


def test_the_command_line_takes_it(tmp_path):
    path = str(example(tmp_path))
    listed = end(start([*CLI, "datapaths", "--bring", path]))
    assert "example-agent 1.0, of " in listed.out
    assert "declines limits_errors" in listed.out
    proven = end(start([*CLI, "status", "--bring", path, "--verify"]))
    assert proven.code == 0, proven.text
    assert "proven: BPF" in proven.out
    inside = end(start([*CLI, "shell", "one_node", "--bring", path]))
    assert (inside.code, inside.err) == (0, "")
    assert "example-agent 1.0 (agent " in inside.out


@pytest.mark.slow
def test_the_bundled_suites_find_nothing_but_what_it_claims(tmp_path):
    path = example(tmp_path)
    arguments = pytest_of(
        "-q", "-m", "conformance", f"--hr-bring={path}", f"--hr-datapath={NAME}", "--hr-record",
        str(ROOT / "testbeds"), rootdir=tmp_path,
    )  # fmt: skip
    ended = end(start(arguments, {"PYTEST_ADDOPTS": ""}), DEADLINE)
    (record,) = results.read_all([tmp_path / "results"])
    (judged,) = record.datapaths
    assert judged.version == "example-agent 1.0"
    assert set(judged.objects) == {"agent.py", "datapath.bpf.o"}
    own = [each for each in record.conformance if each.datapath == NAME]
    outcomes = Counter(each.outcome for each in own)
    assert ended.code == 0, ended.text
    assert set(outcomes) <= {"passed", NOT_CLAIMED}
    assert outcomes["passed"] > 200
    assert {each.reason for each in own if each.outcome == NOT_CLAIMED} == {
        "limits_errors",
        "big_tcp = ipv6",
    }
    assert {each.testbed for each in own} >= {"one_node", "two_node"}


@dataclass(frozen=True)
class Falsified:
    """How a claim is made false, and what must notice.

    Attributes:
        catch: The test, and its assertion.
        program: Changes of the C source, by which the claim is no longer true.
        agent: Changes of the agent.
        toml: Changes of the description, by which it claims what is not so.
    """

    catch: Catch
    program: Mapping[str, str] = field(default_factory=dict)
    agent: Mapping[str, str] = field(default_factory=dict)
    toml: Mapping[str, str] = field(default_factory=dict)


def claiming(catch, *lines):
    """Claim something else, or more."""
    changes = {}
    text = (EXAMPLE / "agent.toml").read_text(encoding="utf-8")
    for line in lines:
        before = [old for old in text.splitlines() if old.startswith(line.split("=")[0])]
        anchor = "decrements_ttl = true"
        changes |= {before[0]: line} if before else {anchor: f"{anchor}\n{line}"}
    return Falsified(catch, toml=changes)


_DEFAULT = "	default:	/*"
_NOT_FORWARDED = {_DEFAULT: f"	case BPF_FIB_LKUP_RET_NOT_FWDED: return TC_ACT_SHOT;\n{_DEFAULT}"}
_TOO_BIG = {_DEFAULT: f"	case BPF_FIB_LKUP_RET_FRAG_NEEDED: return TC_ACT_SHOT;\n{_DEFAULT}"}
_NO_SUM = {"	if (sum != 0xffff)\n		return 0;\n": ""}
_NOWHERE = {'gateway = "lxc"': 'gateway = "nowhere"'}
_BY_CLSACT = """
            name = [i["name"] for i in interfaces if i["ifindex"] == ifindex][0]
            os.system(f"tc qdisc add dev {name} clsact")
            os.system(f"tc filter add dev {name} ingress bpf da obj {OBJECT} sec tc >&2")
            continue
"""
#: A third program, which cuts the errors that the stack writes to what RFC 792 asks for.
_TRIMMING = {
    "char _license[]": TRIMMING
    + """
SEC("tc")
int to_pod(struct __sk_buff *skb)
{
	struct iphdr *ip = (void *)(long)skb->data + IP_OFFSET;
	__u8 *icmp = (void *)(ip + 1);

	if (skb->protocol != be16(ETH_P_IP) || (void *)(icmp + 36) > (void *)(long)skb->data_end)
		return TC_ACT_OK;
	if (ip->protocol != IPPROTO_ICMP || icmp[0] != 11)
		return TC_ACT_OK;
	change_tail(skb, IP_OFFSET + 56, 0);
	ip = (void *)(long)skb->data + IP_OFFSET;
	icmp = (void *)(ip + 1);
	if ((void *)(icmp + 36) > (void *)(long)skb->data_end)
		return TC_ACT_SHOT;
	ip->tot_len = be16(56);
	ip->check = 0;
	ip->check = folded((void *)ip, 10);
	*(__u16 *)(icmp + 2) = 0;
	*(__u16 *)(icmp + 2) = folded((void *)icmp, 18);
	return TC_ACT_OK;
}

char _license[]"""
}
_LINK = "            self.links[ifindex] = checked(link,"
_AT_EGRESS = {
    _LINK: """            to_pod = self._fd("program", "to_pod")
            self.egress = getattr(self, "egress", [])
            self.egress.append(libbpf.bpf_link_create(to_pod, ifindex, 47, None))
"""
    + _LINK
}
_REDIRECT = """static long (*bpf_redirect)(__u32, __u64) = (void *)BPF_FUNC_redirect;
static long (*bpf_redirect_peer)"""
_WITH_MACS = """	bpf_skb_store_bytes(skb, 0, fib.dmac, ETH_ALEN, 0);
	bpf_skb_store_bytes(skb, ETH_ALEN, fib.smac, ETH_ALEN, 0);
	if (fib.dmac[0] | fib.dmac[5])
		return bpf_redirect(fib.ifindex, 0);
	/* The lookup leaves"""
_SPOOFED = "test_hr45_spoofed_source"
_LINK_SCOPE = "test_hr23_link_local_source_from_the_wire_is_not_delivered"
_NOT_THIS_HOST = "	return word[0] | word[1] | word[2] | (word[3] & ~be32(1));"
_PAYLOAD = "	if (!skb->gso_size && be16(ip->payload_len)"

FALSIFIED: Mapping[str, Falsified] = {
    "big_tcp": claiming(
        Catch(t.MTU + "test_hr33_big_tcp_arrives_as_it_was_sent", "errors", {"to": "pod2"}, (6,)),
        "big_tcp = true",
    ),
    "several_addresses": Falsified(
        Catch(t.ADDRESSES + "test_hr45_every_address_of_a_pod_is_its_own", "legs"),
        agent={'in pod["addresses"]:': 'in (pod["ipv4"], pod["ipv6"]):'},
    ),
    "bypasses_stack": Falsified(
        Catch(t.B1 + "test_hr02_netfilter_hooks", "hooks"),
        {"	own = bpf_map": "	if (skb->len)\n		return TC_ACT_OK;\n	own = bpf_map"},
    ),
    "delivers": claiming(Catch(t.LEGS, "legs"), 'delivers = "lxc"', "keeps_mark = false"),
    "delivers_off_wire": claiming(
        Catch(t.LEGS_FAR, "legs"), "keeps_mark = false", 'delivers_off_wire = "lxc"'
    ),
    "attaches": Falsified(
        Catch(t.HOOKS + "test_hr78_listed_by_link_in_order", "hook and link"),
        agent={
            "            program = self.programs[wanted[ifindex]]\n":
            _BY_CLSACT + "            program = self.programs[wanted[ifindex]]\n",
        },
    ),
    "local_pods": claiming(
        Catch(t.B1 + "test_hr43_host_route_deleted_and_rp_filter_on", "lost"),
        'local_pods = "routes"',
    ),
    "node_addresses": Falsified(
        Catch(t.FIB + "test_hr20_address_of_the_node_that_is_no_pod", "lost"), _NOT_FORWARDED
    ),
    "masquerade": claiming(
        Catch("two_node/test_legs::test_hr08_pod_and_world", "legs"),
        "masquerade = true",
    ),
    "services": claiming(Catch(s.NEAR, "legs"), "services = true"),
    "policy": claiming(
        Catch("one_node/test_policy::test_hr34_ingress_is_denied", "legs", {"verdict": "deny"}),
        "policy = true",
    ),
    "keeps_mark": claiming(
        Catch(t.BORDER + "test_hr37_mark_and_tstamp_across_the_border", "mark"),
        "keeps_mark = false",
    ),
    "keeps_tstamp": claiming(
        Catch(t.BORDER + "test_hr37_mark_and_tstamp_across_the_border", "tstamp"),
        "keeps_tstamp = false",
    ),
    "accepts_otherhost": claiming(Catch(t.OTHERHOST, "replies"), "accepts_otherhost = true"),
    "counts": claiming(
        Catch(t.B1 + "test_hr01_programs_attached_and_hit", "hits"), "counts = true"
    ),
    "decrements_ttl": Falsified(
        Catch(t.TTL, "TTL at pod2"), {"__u8 ttl = packet->ttl - 1;": "__u8 ttl = packet->ttl;"}
    ),
    "time_exceeded": Falsified(
        Catch(t.D1 + "test_hr17_ttl_1_same_node", "errors", {"size": 56}),
        {"	if (packet->ttl <= 1 || packet->size": "	if (packet->ttl <= 1) return TC_ACT_SHOT;\n"
                                                  "	if (packet->size"},
    ),
    "quotes_in_full": Falsified(
        Catch(t.D1 + "test_hr17_ttl_1_same_node", "error's length", {"size": 1000}, (4,)),
        _TRIMMING, _AT_EGRESS,
    ),
    "too_big": Falsified(
        Catch(t.MTU + "test_hr30_beyond_the_mtu_is_told", "errors", {"size": 1401}), _TOO_BIG
    ),
    "fragments": Falsified(
        Catch(t.MTU + "test_hr31_fragments_arrive_whole", "lost", families=(4,)), _TOO_BIG
    ),
    "answers_arp": Falsified(Catch(t.GATEWAY, "lost", families=(4,)), toml=_NOWHERE),
    "answers_nd": Falsified(Catch(t.GATEWAY, "lost", families=(6,)), toml=_NOWHERE),
    "answers_gateway_ping": Falsified(Catch(t.GATEWAY_PING, "lost", {"size": 0}), toml=_NOWHERE),
    "source_check": Falsified(
        Catch(t.D1 + _SPOOFED, "legs", {"claimed": "pod2"}),
        {"if (!own || own->ifindex != skb->ifindex)": "if (skb->len == 1)"},
    ),
    "wire_source_check": Falsified(
        Catch(t.D2 + "test_hr45_host_source_from_the_wire_is_not_delivered", "arrived"),
        {"(sender && !sender->ifindex) || ": "", _NOT_THIS_HOST: "	return 1;"},
    ),
    "header_check": Falsified(
        Catch(t.D1 + "test_hr18_malformed_header_is_dropped", "interfaces"),
        {**_NO_SUM, _PAYLOAD: "	if (0 && be16(ip->payload_len)"},
    ),
    "options_to_stack": Falsified(
        Catch(t.D1 + "test_hr20_options_are_the_stacks", "leaves through the lxc"),
        {**_NO_SUM, "ip->ihl != 5": "ip->ihl < 5", " || ip->nexthdr == IPPROTO_HOPOPTS": ""},
    ),
    "keeps_link_scope": Falsified(
        Catch(t.D2 + _LINK_SCOPE, "arrived", families=(6,)),
        {"(byte[0] == 0xfe && (byte[1] & 0xc0) == 0x80)": "0"},
    ),
    "refusing_routes": claiming(
        Catch(t.FIB + "test_hr19_refusing_routes", "legs", {"kind": "prohibit"}),
        'refusing_routes = "tell"',
    ),
    "tells_no_route": Falsified(Catch(t.FIB + "test_hr21_no_route", "errors"), _NOT_FORWARDED),
    "obeys_forwarding": Falsified(
        Catch(t.FIB + "test_hr22_forwarding_off_on_the_lxc", "lost", families=(6,)),
        {"	case BPF_FIB_LKUP_RET_FWD_DISABLED:\n": ""},
    ),
    "any_device": Falsified(
        Catch(t.NEIGH + "test_hr28_next_hops_that_share_an_address", "in use"),
        {"static __inline int forward(": "static __u32 first;\nstatic __inline int forward(",
         "return bpf_redirect_neigh(fib.ifindex,":
         "if (!first)\n		first = fib.ifindex;\n	return bpf_redirect_neigh(first,"},
    ),
    "refreshes_neighbours": Falsified(
        Catch(t.NEIGH + "test_hr28_next_hop_moves_silently", "lost"),
        {"static long (*bpf_redirect_peer)": _REDIRECT, "	/* The lookup leaves": _WITH_MACS},
    ),
}  # fmt: skip
#: Claims that it cannot make falsely, and why.
NEVER_FALSE = {
    "shows_client": "seen only where services are translated",
    "forwards": "seen only where the programs count",
    "routing": "a tunnel is refused before anything is built",
    "limits_errors": "it declines: the stack limits its errors by itself since 6.13",
}


def test_every_claim_is_falsified_or_has_a_reason():
    assert {*FALSIFIED, *NEVER_FALSE} == set(CLAIMS)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("claim", "version"),
    [(claim, version) for claim, one in FALSIFIED.items() for version in one.catch.families],
)
def test_a_false_claim_fails_on_its_own_assertion(claim, version, tmp_path, request):
    one = FALSIFIED[claim]
    path = example(tmp_path, "false", program=one.program, agent=one.agent, toml=one.toml)
    found = failed_assertion(
        request, find_test(one.catch), read(path), Family(version), one.catch.arguments
    )
    assert found == one.catch.assertion
