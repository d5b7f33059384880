/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * tc ingress of the NIC: what comes over the wire. Stages: [NodePort: service.c],
 * [reverse masquerade: masquerade.c], policy (police.c; where a node asks for it), local
 * delivery; all else goes up the stack.
 */

static __always_inline int from_netdev4(struct __sk_buff *skb)
{
	struct packet pkt = {};
	struct endpoint *target, *sender;
	int action;

	if (!read_packet4(skb, &pkt))
		return drop(PROGRAM_FROM_NETDEV, DROP_MALFORMED);
	/* service.c, then masquerade.c */
	target = endpoints4.lookup(&pkt.dst4);
	if (!target || target->flags || has_options4(skb) || for_the_stack(skb) ||
	    link_scope4(pkt.src4))
		return to_stack(PROGRAM_FROM_NETDEV);
	sender = endpoints4.lookup(&pkt.src4);
	if (sender && sender->flags & ENDPOINT_GATEWAY)	/* no device has it: the stack would not know */
		return drop(PROGRAM_FROM_NETDEV, DROP_SOURCE);
	if (sender && sender->flags)	/* who poses as the node, the stack refuses */
		return to_stack(PROGRAM_FROM_NETDEV);
#ifdef POLICY
	action = police4(skb, &pkt, PROGRAM_FROM_NETDEV, false);
	if (action != TC_ACT_OK)
		return action;
#endif
	action = deliver_local(skb, &pkt, target, PROGRAM_FROM_NETDEV);
	return action == TTL_EXPIRED ? time_exceeded(skb, &pkt, PROGRAM_FROM_NETDEV) : action;
}

static __always_inline int from_netdev6(struct __sk_buff *skb)
{
	struct packet pkt = {};
	struct endpoint *target, *sender;
	int action;

	if (!read_packet6(skb, &pkt))
		return drop(PROGRAM_FROM_NETDEV, DROP_MALFORMED);
	/* service.c, then masquerade.c */
	target = endpoints6.lookup(&pkt.dst6);
	if (!target || target->flags || has_options6(&pkt) || for_the_stack(skb) ||
	    link_scope6(&pkt.src6) || unspecified6(&pkt.src6))
		return to_stack(PROGRAM_FROM_NETDEV);
	sender = endpoints6.lookup(&pkt.src6);
	if (sender && sender->flags & ENDPOINT_GATEWAY)	/* no device has it: the stack would not know */
		return drop(PROGRAM_FROM_NETDEV, DROP_SOURCE);
	if (sender && sender->flags)
		return to_stack(PROGRAM_FROM_NETDEV);
#ifdef POLICY
	action = police6(skb, &pkt, PROGRAM_FROM_NETDEV, false);
	if (action != TC_ACT_OK)
		return action;
#endif
	action = deliver_local(skb, &pkt, target, PROGRAM_FROM_NETDEV);
	return action == TTL_EXPIRED ? time_exceeded(skb, &pkt, PROGRAM_FROM_NETDEV) : action;
}

int from_netdev(struct __sk_buff *skb)
{
	switch (bpf_ntohs(skb->protocol)) {
	case ETH_P_IP:
		return from_netdev4(skb);
	case ETH_P_IPV6:
		return from_netdev6(skb);
	default:
		return to_stack(PROGRAM_FROM_NETDEV);
	}
}
