/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Every packet's way through policy: its flow's entry, or the rules. At from_container and
 * from_netdev a packet is looked up by its own tuple. At to_container it is looked up by the
 * reversed tuple, as the pod would send it: that entry exists whichever side began the flow.
 */
#ifdef FLOWS

/* EACH FAMILY */
struct scratch4 {
	struct tuple4 key, partner, original;
	struct flow_state state;
	struct transport transport;
#ifdef SERVICES
	struct quote quote;
	struct packet packet;
#endif
};

BPF_PERCPU_ARRAY(police_scratch4, struct scratch4, 1);

/* END OF EACH FAMILY */

#ifdef SERVICES
/*
 * Through a map and back: the verifier then looks at what follows once, and not once for each of
 * the ways that led here, of which each knows something else of the packet.
 */
#define KNOW_LITTLE(at, pkt)				\
({							\
	u8 family = (pkt)->family;			\
	(at)->packet = *(pkt);				\
	asm volatile("" : : : "memory");		\
	*(pkt) = (at)->packet;				\
	(pkt)->family = family;				\
})
#endif

/*
 * The key, on the pod's side, of the flow that an ICMP error quotes. Any router may send an
 * error, but only to the source of the packet it quotes. A pod may only send errors about
 * packets that were sent to it.
 */
static __always_inline bool quoted4(struct __sk_buff *skb, const struct packet *pkt,
				    const struct transport *t, u32 program, struct scratch4 *at)
{
	struct transport inner = {};
	struct tuple4 sent = {};
	struct iphdr ip;

	if (bpf_skb_load_bytes(skb, t->quote, &ip, sizeof(ip)) || ip.version != 4 ||
	    ip.frag_off & bpf_htons(IP4_FRAGMENT_OFFSET))
		return false;
	inner.protocol = ip.protocol;
	inner.offset = t->quote + ip.ihl * 4;
	if (!read_ports(skb, &inner, true) || inner.error)
		return false;
	sent.src = ip.saddr;
	sent.dst = ip.daddr;
	sent.sport = inner.sport;
	sent.dport = inner.dport;
	sent.protocol = inner.protocol;
	sent.hook = FLOW_LOCAL;
#ifdef SERVICES
	at->quote.offset = t->quote;
	at->quote.l4_offset = inner.offset;
	at->quote.protocol = inner.protocol;
	if (program == PROGRAM_FROM_NETDEV)	/* as the reply would come: it may be translated */
		reverse4(&at->key, &sent, FLOW_WIRE);
	else
#endif
		at->key = sent;
	if (program == PROGRAM_FROM_CONTAINER) {
		reverse4(&at->key, &sent, FLOW_LOCAL);
		return ip.daddr == pkt->src4;
	}
	return ip.saddr == pkt->dst4;
}

static __always_inline bool quoted6(struct __sk_buff *skb, const struct packet *pkt,
				    const struct transport *t, u32 program, struct scratch6 *at)
{
	struct transport inner = {};
	struct tuple6 sent = {};
	struct ipv6hdr ip;

	if (bpf_skb_load_bytes(skb, t->quote, &ip, sizeof(ip)) || ip.version != 6)
		return false;
	inner.protocol = ip.nexthdr;
	inner.offset = t->quote + sizeof(ip);
	if (!walk_extensions(skb, &inner) || inner.later || !read_ports(skb, &inner, false) ||
	    inner.error)
		return false;
	__builtin_memcpy(&sent.src, &ip.saddr, sizeof(sent.src));
	__builtin_memcpy(&sent.dst, &ip.daddr, sizeof(sent.dst));
	sent.sport = inner.sport;
	sent.dport = inner.dport;
	sent.protocol = inner.protocol;
	sent.hook = FLOW_LOCAL;
#ifdef SERVICES
	at->quote.offset = t->quote;
	at->quote.l4_offset = inner.offset;
	at->quote.protocol = inner.protocol;
	if (program == PROGRAM_FROM_NETDEV)	/* as the reply would come: it may be translated */
		reverse6(&at->key, &sent, FLOW_WIRE);
	else
#endif
		at->key = sent;
	if (program == PROGRAM_FROM_CONTAINER) {
		reverse6(&at->key, &sent, FLOW_LOCAL);
		return same_address6(&sent.dst, &pkt->src6);
	}
	return same_address6(&sent.src, &pkt->dst6);
}

/* What nearly every packet is: ports right behind a header of fixed size, no SYN, FIN or RST. */
static __always_inline bool plain(struct __sk_buff *skb, const struct packet *pkt, u32 l3_length)
{
	u8 *data = LOAD_POINTER(data, skb), *end = LOAD_POINTER(data_end, skb);

	if (!pkt->has_ports || data + L3_OFFSET + sizeof(struct iphdr) > end)
		return false;
	if (pkt->family == ADDRESS_FAMILY_INET && (data[L3_OFFSET] & 0xf) != 5)
		return false;
	if (pkt->protocol != IPPROTO_TCP)
		return true;
	if (pkt->l4_offset != L3_OFFSET + l3_length ||
	    data + L3_OFFSET + l3_length + TCP_FLAGS + 1 > end)
		return false;
	return !(data[L3_OFFSET + l3_length + TCP_FLAGS] & (TCP_SYN | TCP_FIN | TCP_RST));
}

#define HEADER4		sizeof(struct iphdr)
#define HEADER6		sizeof(struct ipv6hdr)

/* Whether a tuple's source is a pod of this node; of the node's own packets nobody asks. */
static __always_inline u8 hook4(u32 address)
{
	struct endpoint *found = endpoints4.lookup(&address);

	if (TRANSLATES && found && found->flags)
		return FLOW_NODE;
	return found && !found->flags ? FLOW_LOCAL : FLOW_WIRE;
}

static __always_inline u8 hook6(const union address6 *address)
{
	struct endpoint *found = endpoints6.lookup((union address6 *)address);

	if (TRANSLATES && found && found->flags)
		return FLOW_NODE;
	return found && !found->flags ? FLOW_LOCAL : FLOW_WIRE;
}

/* EACH FAMILY */
#ifdef SERVICES
#ifndef POLICY
/* Without policy nobody is refused; the gateway has no flows. */
static __always_inline int refused4(const struct tuple4 *flow, bool begins)
{
	struct endpoint *target = endpoints4.lookup((address4 *)&flow->dst);

	return target && target->flags & ENDPOINT_GATEWAY ? NO_SUBJECT : 0;
}
#endif

/* A flow is over: none of its pair is left to meet the one that takes its place. */
static __always_inline void forget4(const struct flow4 *flow, struct scratch4 *at)
{
	at->partner = flow->partner;
	flows4.delete(&at->key);
	flows4.delete(&at->partner);
}
#endif

/* What policy judges: who began the flow, and whom that reaches, a backend instead of its front. */
static __always_inline void begun4(struct scratch4 *at, bool reply)
{
	if (reply)
		reverse4(&at->original, &at->key, at->partner.hook);
	else
		reverse4(&at->original, &at->partner, at->key.hook);
}

/* Whatever is not plain: the whole way, the first lookup once more. */
static __always_inline int police_closely4(struct __sk_buff *skb, struct packet *pkt,
					   u32 program, bool own, bool to_pod)
{
	bool inbound = program == PROGRAM_TO_CONTAINER, known = false, reply = inbound;
	struct transport *t;
	struct flow_config *config;
	struct flow4 *flow = NULL;
	struct scratch4 *at;
	u64 now = jiffies64();
	u8 bits, hook = program == PROGRAM_FROM_NETDEV;
	u32 zero = 0;
	int reason;
#ifdef SERVICES
	bool nobody = false;
#endif

	config = flow_settings.lookup(&zero);
	at = police_scratch4.lookup(&zero);
	if (!config || !at)
		return drop(program, DROP_REWRITE);
	t = &at->transport;
	__builtin_memset(t, 0, sizeof(*t));
	if (link_scope4(PASS4(pkt->dst4)) || (program == PROGRAM_FROM_CONTAINER && for_the_stack(skb)))
		return TC_ACT_OK;	/* never leaves its link */
	reason = read_transport4(skb, pkt, t);
	if (!reason && t->later)
		reason = fragment_ports4(pkt, t, now);
#ifdef SERVICES
	if (reason && !to_pod)
		return TC_ACT_OK;	/* the stack's, as it asks for no service */
#endif
	if (reason)
		return drop(program, reason - REFUSED(0));

	at->original.src = pkt->src4;
	at->original.dst = pkt->dst4;
	at->original.sport = t->sport;
	at->original.dport = t->dport;
	at->original.protocol = t->protocol;
	at->original.hook = hook;
	if (inbound)
		reverse4(&at->key, &at->original, FLOW_LOCAL);
	else
		at->key = at->original;
	if (!t->error || quoted4(skb, pkt, t, program, at)) {
		flow = flows4.lookup(&at->key);
		known = flow && alive(&flow->state, now, t->tcp_flags);
	}
	if (known) {
		reply = flow->state.reply;
		bits = tcp_bits(t->tcp_flags, reply != inbound);
		at->partner = flow->partner;
		at->state = flow->state;
		at->state.tcp |= bits;
		begun4(at, reply);
	} else {
#ifdef SERVICES
		if (flow)
			forget4(flow, at);
#endif
		if (inbound && !own)
			at->original.hook = hook4(PASS4(pkt->src4));
		hook = inbound ? at->original.hook :
		       program == PROGRAM_FROM_NETDEV ? FLOW_LOCAL : hook4(PASS4(pkt->dst4));
		reverse4(&at->partner, &at->key, hook);
		at->state.tcp = tcp_bits(t->tcp_flags, false);
		at->state.reply = inbound;
		at->state.generation = 0;
#ifdef SERVICES
		at->state.translated = 0;
		reason = inbound ? NO_SERVICE :
				   serve4(&at->original, program, now, &at->partner);
		if (reason > 0)
			return drop(program, reason - REFUSED(0));
		nobody = reason == NO_BACKEND;
		if (reason == NO_SERVICE && !to_pod)
			return TC_ACT_OK;
		if (!reason)
			begun4(at, false);
#endif
	}
	if (!own && (!known || at->state.generation != config->generation)) {
		reason = refused4(&at->original, known || t->begins);
		if (reason > 0) {
			if (known) {
				flows4.delete(&at->key);
				flows4.delete(&at->partner);
			}
			return drop(program, reason - REFUSED(0));
		}
		if (reason < 0)
			return TC_ACT_OK;
	}
#ifdef SERVICES
	if (nobody)
		return NO_BACKEND;	/* said to whom policy lets ask */
	if (t->error && known && !inbound && at->state.translated)
		become_error4(pkt, &at->key, &at->partner);
	KNOW_LITTLE(at, pkt);
#endif
	if (t->error || (!known && !t->begins))
		return TC_ACT_OK;	/* what is about a flow does not keep it alive */
#ifdef SERVICES
	if (!known && !inbound && (t->protocol == IPPROTO_TCP || t->protocol == IPPROTO_UDP)) {
		if (!claim4(&at->key, &at->partner, config, now))
			return drop(program, DROP_NAT_EXHAUSTED);
		at->state.translated = translates4(&at->key, &at->partner);
	}
#endif
	renewed(&at->state, config, t->protocol, now);
	renew_pair4(&at->key, &at->partner, &at->state);
	if (t->fragment && !t->later)
		remember_fragment4(pkt, t, now + config->fragment);
#ifdef SERVICES
	pkt->l4_offset = t->later ? 0 : t->offset;
	if (!inbound && at->state.translated)
		become4(pkt, &at->partner);
	KNOW_LITTLE(at, pkt);
#endif
	return TC_ACT_OK;
}

/*
 * TC_ACT_OK: it may go on; with services, as what it says from then on. `own`: of the node itself,
 * to_container only. `to_pod`: false for what came over the wire for no pod of this node.
 */
static __always_inline int police4(struct __sk_buff *skb, struct packet *pkt, u32 program,
				   bool own, bool to_pod)
{
	bool inbound = program == PROGRAM_TO_CONTAINER;
	struct tuple4 key = {};
	struct flow4 *flow;

	if (plain(skb, pkt, HEADER4)) {
		key.src = inbound ? pkt->dst4 : pkt->src4;
		key.dst = inbound ? pkt->src4 : pkt->dst4;
		key.sport = inbound ? pkt->dport : pkt->sport;
		key.dport = inbound ? pkt->sport : pkt->dport;
		key.protocol = pkt->protocol;
		key.hook = program == PROGRAM_FROM_NETDEV ? FLOW_WIRE : FLOW_LOCAL;
		flow = flows4.lookup(&key);
		if (flow && settled(&flow->state)) {
#ifdef SERVICES
			if (!inbound && flow->state.translated)
				become4(pkt, &flow->partner);
#endif
			return TC_ACT_OK;
		}
	}
	return police_closely4(skb, pkt, program, own, to_pod);
}

/* END OF EACH FAMILY */

#endif
