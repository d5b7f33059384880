/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * tc ingress of the NIC: what comes over the wire. Stages: [reverse masquerade: masquerade.c],
 * services and policy (police.c; where a node asks for them), local delivery, and what a service
 * sends on to another node; all else goes up the stack.
 */

static __always_inline bool is_pod(const struct endpoint *target)
{
	return target && !target->flags;
}

static __always_inline int from_netdev4(struct __sk_buff *skb)
{
	struct packet pkt = {};
	struct endpoint *target, *sender;
	int action;

	if (!read_packet4(skb, &pkt))
		return drop(PROGRAM_FROM_NETDEV, DROP_MALFORMED);
	/* masquerade.c */
	target = endpoints4.lookup(&pkt.dst4);
	if ((!TRANSLATES && !is_pod(target)) || has_options4(skb) || for_the_stack(skb) ||
	    link_scope4(pkt.src4))
		return to_stack(PROGRAM_FROM_NETDEV);
	sender = endpoints4.lookup(&pkt.src4);
	if (sender && sender->flags & ENDPOINT_GATEWAY)	/* no device has it: the stack would not know */
		return drop(PROGRAM_FROM_NETDEV, DROP_SOURCE);
	if (sender && sender->flags)	/* who poses as the node, the stack refuses */
		return to_stack(PROGRAM_FROM_NETDEV);
#ifdef FLOWS
	action = police4(skb, &pkt, PROGRAM_FROM_NETDEV, false, is_pod(target));
	if (action != TC_ACT_OK)
		goto end;
#endif
#ifdef SERVICES
	if (pkt.translated)
		target = endpoints4.lookup(&pkt.dst4);
	else if (!is_pod(target))
		return to_stack(PROGRAM_FROM_NETDEV);
	if (!target)
		action = forward(skb, &pkt, PROGRAM_FROM_NETDEV);
	else if (target->flags)
		action = UP_THE_STACK;
	else
#endif
		action = deliver_local(skb, &pkt, target, PROGRAM_FROM_NETDEV);
#ifdef FLOWS
end:
#endif
	return answered(skb, &pkt, PROGRAM_FROM_NETDEV, action);
}

static __always_inline int from_netdev6(struct __sk_buff *skb)
{
	struct packet pkt = {};
	struct endpoint *target, *sender;
	int action;

	if (!read_packet6(skb, &pkt))
		return drop(PROGRAM_FROM_NETDEV, DROP_MALFORMED);
	/* masquerade.c */
	target = endpoints6.lookup(&pkt.dst6);
	if ((!TRANSLATES && !is_pod(target)) || has_options6(&pkt) || for_the_stack(skb) ||
	    link_scope6(&pkt.src6) || unspecified6(&pkt.src6))
		return to_stack(PROGRAM_FROM_NETDEV);
	sender = endpoints6.lookup(&pkt.src6);
	if (sender && sender->flags & ENDPOINT_GATEWAY)	/* no device has it: the stack would not know */
		return drop(PROGRAM_FROM_NETDEV, DROP_SOURCE);
	if (sender && sender->flags)
		return to_stack(PROGRAM_FROM_NETDEV);
#ifdef FLOWS
	action = police6(skb, &pkt, PROGRAM_FROM_NETDEV, false, is_pod(target));
	if (action != TC_ACT_OK)
		goto end;
#endif
#ifdef SERVICES
	if (pkt.translated)
		target = endpoints6.lookup(&pkt.dst6);
	else if (!is_pod(target))
		return to_stack(PROGRAM_FROM_NETDEV);
	if (!target)
		action = forward(skb, &pkt, PROGRAM_FROM_NETDEV);
	else if (target->flags)
		action = UP_THE_STACK;
	else
#endif
		action = deliver_local(skb, &pkt, target, PROGRAM_FROM_NETDEV);
#ifdef FLOWS
end:
#endif
	return answered(skb, &pkt, PROGRAM_FROM_NETDEV, action);
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
