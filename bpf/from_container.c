/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * tc ingress of a pod's lxc: everything the pod sends.
 *
 * Stages, in order: source check, gateway's ARP and NDP, services and policy of both ends
 * (police.c; where a node asks for them), the gateway itself, the node itself, local delivery,
 * [encapsulation: encap.c], forwarding. What stands in brackets is not built yet; it joins as a
 * file of its own at its place below.
 */

/* The source address does not belong to this lxc's pod: drop it, unless the pod has none yet. */
static __always_inline int not_its_own(struct __sk_buff *skb, bool on_the_link)
{
	if (!pod_of(skb))
		return drop(PROGRAM_FROM_CONTAINER, DROP_NO_ENDPOINT);
	if (!on_the_link)
		return drop(PROGRAM_FROM_CONTAINER, DROP_SOURCE);
	return to_stack(PROGRAM_FROM_CONTAINER);
}

static __always_inline int from_container4(struct __sk_buff *skb)
{
	struct packet pkt = {};
	struct endpoint *sender, *target;
	int action;

	if (!read_packet4(skb, &pkt))
		return drop(PROGRAM_FROM_CONTAINER, DROP_MALFORMED);
	sender = endpoints4.lookup(&pkt.src4);
	/* A pod that has no address yet asks for one on its link (DHCP); the stack forwards no
	 * packet whose source is 0.0.0.0. */
	if (!sender || sender->ifindex != skb->ifindex)
		return not_its_own(skb, !pkt.src4 && link_scope4(pkt.dst4));
#ifdef FLOWS	/* police.c, before the stack forwards what has options */
	action = police4(skb, &pkt, PROGRAM_FROM_CONTAINER, false, true);
	if (action != TC_ACT_OK)
		goto end;
#endif
#ifdef SERVICES	/* the stack would not know it */
	if (pkt.translated && (has_options4(skb) || for_the_stack(skb)))
		return drop(PROGRAM_FROM_CONTAINER, DROP_TRANSLATION);
#endif
	if (link_scope4(pkt.dst4) || has_options4(skb) || for_the_stack(skb))
		return to_stack(PROGRAM_FROM_CONTAINER);
	target = endpoints4.lookup(&pkt.dst4);
#ifdef SERVICES
	if (pkt.translated && target && target->flags) {
		action = UP_THE_STACK;
		goto end;
	}
#endif
	if (target && target->flags)
		return target->flags & ENDPOINT_GATEWAY ? answer_echo(skb, &pkt, sender->lxc_mac) :
							  to_stack(PROGRAM_FROM_CONTAINER);
	if (target)
		action = deliver_local(skb, &pkt, target, PROGRAM_FROM_CONTAINER);
	else	/* encap.c */
		action = forward(skb, &pkt, PROGRAM_FROM_CONTAINER);
#ifdef FLOWS
end:
#endif
	return answered(skb, &pkt, PROGRAM_FROM_CONTAINER, action);
}

static __always_inline int from_container6(struct __sk_buff *skb)
{
	struct packet pkt = {};
	struct endpoint *sender, *target;
	bool unrouted;
	int action;

	if (!read_packet6(skb, &pkt))
		return drop(PROGRAM_FROM_CONTAINER, DROP_MALFORMED);
	sender = endpoints6.lookup(&pkt.src6);
	/* On its own link a pod may use link-local addresses, or none yet (DAD); it asks with them
	 * whether the gateway's address, of whatever scope, is still where it was. */
	unrouted = link_scope6(&pkt.src6) || unspecified6(&pkt.src6);
	if (is_neighbour_discovery(skb, &pkt)) {
		if (!unrouted && (!sender || sender->ifindex != skb->ifindex))
			return not_its_own(skb, false);
		return answer_solicitation(skb);
	}
	if (!sender || sender->ifindex != skb->ifindex)
		return not_its_own(skb, unrouted && link_scope6(&pkt.dst6));
#ifdef FLOWS	/* police.c, before the stack forwards what has options */
	action = police6(skb, &pkt, PROGRAM_FROM_CONTAINER, false, true);
	if (action != TC_ACT_OK)
		goto end;
#endif
#ifdef SERVICES	/* the stack would not know it */
	if (pkt.translated && (has_options6(&pkt) || for_the_stack(skb)))
		return drop(PROGRAM_FROM_CONTAINER, DROP_TRANSLATION);
#endif
	if (link_scope6(&pkt.dst6) || has_options6(&pkt) || for_the_stack(skb))
		return to_stack(PROGRAM_FROM_CONTAINER);
	target = endpoints6.lookup(&pkt.dst6);
#ifdef SERVICES
	if (pkt.translated && target && target->flags) {
		action = UP_THE_STACK;
		goto end;
	}
#endif
	if (target && target->flags)
		return target->flags & ENDPOINT_GATEWAY ? answer_echo(skb, &pkt, sender->lxc_mac) :
							  to_stack(PROGRAM_FROM_CONTAINER);
	if (target)
		action = deliver_local(skb, &pkt, target, PROGRAM_FROM_CONTAINER);
	else	/* encap.c */
		action = forward(skb, &pkt, PROGRAM_FROM_CONTAINER);
#ifdef FLOWS
end:
#endif
	return answered(skb, &pkt, PROGRAM_FROM_CONTAINER, action);
}

int from_container(struct __sk_buff *skb)
{
	switch (bpf_ntohs(skb->protocol)) {
	case ETH_P_IP:
		return from_container4(skb);
	case ETH_P_IPV6:
		return from_container6(skb);
	case ETH_P_ARP:
		return answer_arp(skb);
	default:
		return pod_of(skb) ? to_stack(PROGRAM_FROM_CONTAINER) :
				     drop(PROGRAM_FROM_CONTAINER, DROP_NO_ENDPOINT);
	}
}
