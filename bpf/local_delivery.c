/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Delivery to a pod of this node, from either side. LOCAL_REDIRECT builds the
 * variant for kernels without bpf_redirect_peer. NETKIT builds the one whose
 * from_container runs inside a netkit pair's transmission: bpf_redirect_peer
 * from there is lost, as it works at tc ingress only (skb_do_redirect()).
 */

static __always_inline int deliver_local(struct __sk_buff *skb, struct packet *pkt,
					 const struct endpoint *pod, u32 program)
{
#ifdef SERVICES
	if (pkt->translated && pkt->l3_size > pod->mtu)
		return beyond(skb, pkt, pod->mtu);
#endif
	if (pkt->ttl <= 1)
		return TTL_EXPIRED;
	/* redirect_peer checks no MTU: whom to fragment for, and whom to tell, the stack knows. */
	if (pkt->l3_size > pod->mtu)
		return to_stack(program);
#ifdef SERVICES	/* translate.c */
	if (translate(skb, pkt))
		return drop(program, DROP_REWRITE);
#endif
	if (decrement_ttl(skb, pkt) || write_macs(skb, pod->mac, pod->lxc_mac))
		return drop(program, DROP_REWRITE);
	/* Before c43272299488 ("bpf: Scrub packet on bpf_redirect_peer") a frame not
	 * addressed to the NIC stays PACKET_OTHERHOST and ip_rcv() drops it in the pod. */
	if (skb->pkt_type != PACKET_HOST)
		bpf_skb_change_type(skb, PACKET_HOST);
#ifdef NETKIT
	u32 primary = pod->ifindex;

	if (program == PROGRAM_FROM_CONTAINER)
		return redirected(program, VERDICT_LOCAL, bpf_redirect(primary, 0));
#endif
#ifdef LOCAL_REDIRECT
	return redirected(program, VERDICT_LOCAL, bpf_redirect(pod->ifindex, 0));
#else
	return redirected(program, VERDICT_LOCAL, redirect_peer(pod->ifindex, 0));
#endif
}
