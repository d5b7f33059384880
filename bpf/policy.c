/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Policy: what may begin a flow, by rules of the pods at its ends. Whatever else belongs to it
 * passes because its entry says so (flow.c); an entry that older rules made is judged anew.
 *
 * The agent works out which rules of a pod hold for each network that any rule names, so the
 * longest prefix decides; and, of rules that cover each other, what the narrower key says.
 */
#ifdef POLICY

enum direction {
	DIRECTION_EGRESS = 0,
	DIRECTION_INGRESS = 1,
};

enum rule {
	RULE_ALLOW = 1,
	RULE_DENY = 2,
};

#define SELECTED	0xffffffff	/* in the identity's place: the pod has rules in that direction */

struct network4 {
	u32 prefixlen;
	u32 address;
};

struct network6 {
	u32 prefixlen;
	union address6 address;
};

struct rule_key {
	u32 ifindex;		/* the pod's lxc */
	u32 identity;		/* of the other end: 0 is in no network of a rule */
	u16 port;		/* network order; 0: any */
	u8 protocol;		/* 0: any */
	u8 direction;
};

BPF_F_TABLE("lpm_trie", struct network4, u32, identities4, 4096, BPF_F_NO_PREALLOC);
BPF_F_TABLE("lpm_trie", struct network6, u32, identities6, 4096, BPF_F_NO_PREALLOC);
BPF_HASH(rules, struct rule_key, u32, 65536);

static __always_inline u32 identity4(u32 address)
{
	struct network4 host = { 32, address };
	u32 *identity = identities4.lookup(&host);

	return identity ? *identity : 0;
}

static __always_inline u32 identity6(const union address6 *address)
{
	struct network6 host = { 128, *address };
	u32 *identity = identities6.lookup(&host);

	return identity ? *identity : 0;
}

static __always_inline bool selected(u32 ifindex, u8 direction)
{
	struct rule_key key = { ifindex, SELECTED, 0, 0, direction };

	return rules.lookup(&key);
}

/* Of a pod that rules select: 0, or why it may not; the narrowest rule speaks. */
static __always_inline int ruled_out(u32 ifindex, u8 direction, u32 identity, u8 protocol, u16 port)
{
	struct rule_key key = { ifindex, identity, port, protocol, direction };
	u32 *rule = rules.lookup(&key);

	if (!rule) {
		key.port = 0;
		rule = rules.lookup(&key);
	}
	if (!rule) {
		key.protocol = 0;
		rule = rules.lookup(&key);
	}
	if (!rule)
		return REFUSED(direction == DIRECTION_EGRESS ? DROP_POLICY_EGRESS :
							       DROP_POLICY_INGRESS);
	return *rule == RULE_ALLOW ? 0 : REFUSED(DROP_POLICY_DENY_RULE);
}

/* EACH FAMILY */
/* Whether a flow may begin, or go on: 0, NO_SUBJECT or why not. */
static __always_inline int refused4(const struct tuple4 *flow, bool begins)
{
	struct endpoint *target = endpoints4.lookup((address4 *)&flow->dst), *sender;
	int reason;

	if (target && target->flags & ENDPOINT_GATEWAY)
		return NO_SUBJECT;
	if (flow->hook == FLOW_LOCAL) {
		sender = endpoints4.lookup((address4 *)&flow->src);
		if (!sender || sender->flags)
			return 0;	/* a node reaches its own pods */
		if (selected(sender->ifindex, DIRECTION_EGRESS)) {
			reason = begins ? ruled_out(sender->ifindex, DIRECTION_EGRESS,
						    identity4(PASS4(flow->dst)), flow->protocol,
						    flow->dport) :
					  REFUSED(DROP_ICMP_UNRELATED);
			if (reason)
				return reason;
		}
	}
	if (!target || target->flags || !selected(target->ifindex, DIRECTION_INGRESS))
		return 0;
	return begins ? ruled_out(target->ifindex, DIRECTION_INGRESS, identity4(PASS4(flow->src)),
				  flow->protocol, flow->dport) :
			REFUSED(DROP_ICMP_UNRELATED);
}

/* END OF EACH FAMILY */

#endif
