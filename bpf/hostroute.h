/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What the programs and the harness agree on: numbers of programs, verdicts and
 * drop reasons, and the layout of every map. harness/bpf/contract.py reads the
 * enums and the structs of this file, so nothing is written down twice.
 */
#ifndef HOSTROUTE_H
#define HOSTROUTE_H

/* Whether services are built in: what only they may do else. */
#define TRANSLATES	0
#ifdef SERVICES
#undef TRANSLATES
#define TRANSLATES	1
#endif

enum program {
	PROGRAM_FROM_CONTAINER = 0,	/* tc ingress of a pod's lxc */
	PROGRAM_FROM_NETDEV = 1,	/* tc ingress of the NIC */
	PROGRAM_TO_NETDEV = 2,		/* tc egress of the NIC */
	PROGRAM_TO_CONTAINER = 3,	/* tc egress of a pod's lxc; only with policy or services */
	PROGRAMS = 4,
};

enum verdict {
	VERDICT_STACK = 0,	/* left to the node's IP stack */
	VERDICT_DROP = 1,	/* dropped; see enum drop_reason */
	VERDICT_LOCAL = 2,	/* delivered to a pod of this node */
	VERDICT_FORWARD = 3,	/* out of the device of the lookup, MACs rewritten */
	VERDICT_NEIGH = 4,	/* out through bpf_redirect_neigh */
	VERDICT_ANSWER = 5,	/* answered by the program: ARP, NS, echo, ICMP error */
	VERDICT_PASS = 6,	/* let go on its way (to_netdev) */
	VERDICTS = 7,
};

enum drop_reason {
	DROP_MALFORMED = 0,	/* shorter than its headers need or say, or their sum is wrong */
	DROP_NO_ENDPOINT = 1,	/* the lxc belongs to no known pod */
	DROP_SOURCE = 2,	/* source address is not the pod's */
	DROP_FIB = 3,		/* bpf_fib_lookup refused; see map fib_results */
	DROP_TTL = 4,		/* TTL ran out and an ICMP error is not allowed */
	DROP_REDIRECT = 5,	/* a redirect helper returned TC_ACT_SHOT */
	DROP_REWRITE = 6,	/* the packet could not be written to */
	DROP_GATEWAY = 7,	/* for the gateway, which answers echo requests only */
	DROP_POLICY_EGRESS = 8,		/* no rule of the sender allows it */
	DROP_POLICY_INGRESS = 9,	/* no rule of the receiver allows it */
	DROP_POLICY_DENY_RULE = 10,	/* a rule denies it */
	DROP_ICMP_UNRELATED = 11,	/* an ICMP error, or an echo's reply, of no known flow */
	DROP_FRAGMENT_UNKNOWN = 12,	/* a later fragment of which no first one passed */
	DROP_NO_BACKEND = 13,	/* nobody answers for a service, or for what is asked there */
	DROP_NAT_EXHAUSTED = 14,	/* no port is free to tell a flow apart from others */
	DROP_TRANSLATION = 15,	/* cannot be translated: it has options, or no way but the stack's */
	DROP_REASONS = 16,
};

/* Return codes of bpf_fib_lookup, BPF_FIB_LKUP_RET_* (uapi/linux/bpf.h). */
enum fib_result {
	FIB_SUCCESS = 0,
	FIB_BLACKHOLE = 1,
	FIB_UNREACHABLE = 2,
	FIB_PROHIBIT = 3,
	FIB_NOT_FWDED = 4,
	FIB_FWD_DISABLED = 5,
	FIB_UNSUPP_LWT = 6,
	FIB_NO_NEIGH = 7,
	FIB_FRAG_NEEDED = 8,
	FIB_NO_SRC_ADDR = 9,
	FIB_VLAN_FAILURE = 10,
	FIB_ERROR = 11,		/* the helper returned a negative error */
	FIB_RESULTS = 12,
};

/* What an address is that is no pod's; in struct endpoint's flags. */
enum endpoint_flag {
	ENDPOINT_HOST = 1,	/* an address of the node itself */
	ENDPOINT_GATEWAY = 2,	/* the pods' gateway: no device has it */
	ENDPOINT_FLAGS = 3,
};

/* Addresses are in network byte order everywhere. */
union address6 {
	__u8 bytes[16];
	__u32 words[4];
};

/* Where a destination address lives: a pod of this node, the node, or nowhere (the gateway). */
struct endpoint {
	__u32 ifindex;		/* the pod's lxc */
	__u32 mtu;		/* of the pod's eth0 or of its lxc, whichever is less */
	__u16 flags;		/* enum endpoint_flag; 0: a pod */
	__u8 mac[6];		/* the pod's eth0 */
	__u8 lxc_mac[6];
	__u8 pad[2];
};

/* That an lxc belongs to a pod: key is the lxc's ifindex. Which addresses it has, endpoints say. */
struct source {
	__u8 lxc_mac[6];
	__u8 pad[2];
};

/* SKIP_FIB: where a route leads. */
struct route {
	__u32 ifindex;		/* the uplink; 0: elsewhere, which the stack knows */
	__u32 mtu;
};

struct prefix4 {
	__u32 length;
	__u32 address;
};

struct prefix6 {
	__u32 length;
	union address6 address;
};

struct node_config {
	__u32 nic_ifindex;	/* 0: the node has no NIC */
	__u32 nic_mtu;
	__u32 other_routes;	/* SKIP_FIB: how many lead elsewhere than out of the NIC */
	__u32 gateway4;		/* answered for, by ARP */
	__u32 node4;
	union address6 gateway6;	/* answered for, by NDP */
	union address6 node6;
};

#endif
