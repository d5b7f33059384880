/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * tc egress of a pod's lxc: what goes round from_container and from_netdev, because the node's
 * stack sends it: packets with options, tagged and broadcast frames, whatever is too big, and
 * the node's own. bpf_redirect_peer passes by.
 */
#ifdef FLOWS

static __always_inline int to_container4(struct __sk_buff *skb, bool own)
{
	struct packet pkt = {};
	int action = TC_ACT_OK;

	if (!read_packet4(skb, &pkt))
		return drop(PROGRAM_TO_CONTAINER, DROP_MALFORMED);
#ifdef SERVICES
	if (own && turn_back4(skb, &pkt))
		return drop(PROGRAM_TO_CONTAINER, DROP_REWRITE);
#endif
#ifdef POLICY
	action = police4(skb, &pkt, PROGRAM_TO_CONTAINER, own, true);
#endif
	if (action == TC_ACT_OK)
		count_hit(PROGRAM_TO_CONTAINER, VERDICT_PASS);
	return action;
}

static __always_inline int to_container6(struct __sk_buff *skb, bool own)
{
	struct packet pkt = {};
	int action = TC_ACT_OK;

	if (!read_packet6(skb, &pkt))
		return drop(PROGRAM_TO_CONTAINER, DROP_MALFORMED);
#ifdef SERVICES
	if (own && turn_back6(skb, &pkt))
		return drop(PROGRAM_TO_CONTAINER, DROP_REWRITE);
#endif
#ifdef POLICY
	action = police6(skb, &pkt, PROGRAM_TO_CONTAINER, own, true);
#endif
	if (action == TC_ACT_OK)
		count_hit(PROGRAM_TO_CONTAINER, VERDICT_PASS);
	return action;
}

int to_container(struct __sk_buff *skb)
{
	/* What came in nowhere is the node's own; what came in here is from_container's answer. */
	bool own = !skb->ingress_ifindex || skb->ingress_ifindex == skb->ifindex;

	switch (bpf_ntohs(skb->protocol)) {
	case ETH_P_IP:
		return to_container4(skb, own);
	case ETH_P_IPV6:
		return to_container6(skb, own);
	default:
		count_hit(PROGRAM_TO_CONTAINER, VERDICT_PASS);
		return TC_ACT_OK;
	}
}

#endif
