/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What a process of the node answers for a service, which its stack sends to the backend's client:
 * to_container and to_netdev make it the front's. So it is with the stack's own ICMP errors.
 */
#ifdef SERVICES

/* EACH FAMILY */
/* 0; or the packet could not be written to. */
static __always_inline int turn_back4(struct __sk_buff *skb, struct packet *pkt)
{
	struct flow_config *flows;
	struct transport *t;
	struct scratch4 *at;
	struct flow4 *flow;
	u64 now = jiffies64();
	u32 zero = 0;

	at = police_scratch4.lookup(&zero);
	flows = flow_settings.lookup(&zero);
	if (!at || !flows)
		return 0;
	t = &at->transport;
	__builtin_memset(t, 0, sizeof(*t));
	if (read_transport4(skb, pkt, t) || (t->later && fragment_ports4(pkt, t, now)))
		return 0;
	at->key.src = pkt->src4;
	at->key.dst = pkt->dst4;
	at->key.sport = t->sport;
	at->key.dport = t->dport;
	at->key.protocol = t->protocol;
	if (t->error && !quoted4(skb, pkt, t, PROGRAM_FROM_NETDEV, at))
		return 0;
	at->key.hook = FLOW_NODE;
	flow = flows4.lookup(&at->key);
	if (!flow || !alive(&flow->state, now, t->tcp_flags) || !flow->state.translated)
		return 0;
	at->partner = flow->partner;
	pkt->l4_offset = t->later ? 0 : t->offset;
	if (t->fragment && !t->later)
		remember_fragment4(pkt, t, now + flows->fragment);
	if (t->error) {
		become_error4(pkt, &at->key, &at->partner);
		return translate(skb, pkt);
	}
	if (!settled(&flow->state) || t->tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST)) {
		at->state = flow->state;
		at->state.tcp |= tcp_bits(t->tcp_flags, at->state.reply);
		renewed(&at->state, flows, t->protocol, now);
		renew_pair4(&at->key, &at->partner, &at->state);
	}
	become4(pkt, &at->partner);
	return translate(skb, pkt);
}

/* END OF EACH FAMILY */

#endif
