/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Off the node: bpf_fib_lookup with both its outcomes, or SKIP_FIB, where the helper looks up. */

#define REFRESH_JIFFIES	64	/* 64 ms to 640 ms, by the kernel's HZ */

/*
 * bpf_redirect with MACs from the lookup never tells the neighbour layer that an entry
 * is in use, so a stale one would never be probed and a next hop that changed its MAC
 * never found. One packet in a while therefore goes through bpf_redirect_neigh.
 */
static __always_inline bool neighbour_due(u32 nexthop)
{
	u32 slot = (nexthop ^ (nexthop >> 8) ^ (nexthop >> 16) ^ (nexthop >> 24)) & 0xff;
	struct neighbour_use *use = neighbour_used.lookup(&slot);
	u64 now = jiffies64();

	/* Two next hops in one slot take turns: slower for both, but neither goes stale. */
	if (!use || (use->nexthop == nexthop && now - use->jiffies < REFRESH_JIFFIES))
		return false;
	use->nexthop = nexthop;
	use->jiffies = now;
	return true;
}

static __always_inline u32 nexthop_of(const struct bpf_fib_lookup *fib)
{
	if (fib->family == ADDRESS_FAMILY_INET)
		return fib->ipv4_dst;
	return fib->ipv6_dst[0] ^ fib->ipv6_dst[1] ^ fib->ipv6_dst[2] ^ fib->ipv6_dst[3];
}

static __always_inline bool mac_known(const u8 *mac)
{
	return mac[0] | mac[1] | mac[2] | mac[3] | mac[4] | mac[5];
}

#ifdef SKIP_FIB
/*
 * bpf_redirect_neigh looks up routes of the device that it is given only. Which device that is, the
 * agent's copy of the routes says; it is looked at only where they lead anywhere but out of the NIC.
 */
static __always_inline struct route way_out(const struct node_config *node,
					    const struct packet *pkt)
{
	struct route out = { node->nic_ifindex, node->nic_mtu }, *found;

	if (!node->other_routes)
		return out;
	if (pkt->family == ADDRESS_FAMILY_INET) {
		struct prefix4 key = { 32, pkt->dst4 };

		found = routes4.lookup(&key);
	} else {
		struct prefix6 key = { 128, pkt->dst6 };

		found = routes6.lookup(&key);
	}
	out.ifindex = found ? found->ifindex : 0;
	out.mtu = found ? found->mtu : 0;
	return out;
}
#endif

static __always_inline int forward(struct __sk_buff *skb, struct packet *pkt,
				   u32 program)
{
	struct node_config *node;
	u32 zero = 0;

	node = config.lookup(&zero);
	if (!node)
		return to_stack(program);
#ifdef SKIP_FIB
	struct route out = way_out(node, pkt);

#ifdef SERVICES
	if (pkt->translated && out.ifindex && pkt->l3_size > out.mtu)
		return beyond(skb, pkt, out.mtu);
#endif
	if (!out.ifindex || pkt->l3_size > out.mtu)
		return as_it_came(pkt, program);
	if (pkt->ttl <= 1)
		return TTL_EXPIRED;
#ifdef SERVICES	/* translate.c */
	if (translate(skb, pkt))
		return drop(program, DROP_REWRITE);
#endif
	if (decrement_ttl(skb, pkt))
		return drop(program, DROP_REWRITE);
	return redirected(program, VERDICT_NEIGH, redirect_neigh(out.ifindex, NULL, 0, 0));
#else
	struct bpf_fib_lookup fib = {};
	struct bpf_redir_neigh nexthop = {};
	long result;

	fib.ifindex = skb->ifindex;
	fib.family = pkt->family;
	fib.l4_protocol = pkt->protocol;
	fib.tot_len = pkt->l3_size;	/* 5.12 and later check it against device and route */
	if (pkt->has_ports) {
		fib.sport = pkt->sport;
		fib.dport = pkt->dport;
	}
	if (pkt->family == ADDRESS_FAMILY_INET) {
		fib.tos = pkt->tos;
		fib.ipv4_src = pkt->src4;
		fib.ipv4_dst = pkt->dst4;
	} else {
		fib.flowinfo = pkt->flowinfo;
		__builtin_memcpy(fib.ipv6_src, &pkt->src6, sizeof(pkt->src6));
		__builtin_memcpy(fib.ipv6_dst, &pkt->dst6, sizeof(pkt->dst6));
	}
	result = bpf_fib_lookup(skb, &fib, sizeof(fib), 0);
	count_fib(result);
	switch (result) {
	case FIB_SUCCESS:
	case FIB_NO_NEIGH:
		break;
	case FIB_NOT_FWDED:	/* an address of the node, or no route: the stack answers */
	case FIB_FRAG_NEEDED:	/* the stack fragments, or says that it may not */
#ifdef SERVICES	/* 5.10 and 5.11 leave the packet's own size there */
		if (pkt->translated && result == FIB_FRAG_NEEDED)
			return beyond(skb, pkt, fib.tot_len < pkt->l3_size ? fib.tot_len :
								     node->nic_mtu);
#endif
		return as_it_came(pkt, program);
	case FIB_BLACKHOLE:
	case FIB_UNREACHABLE:
	case FIB_PROHIBIT:
	case FIB_FWD_DISABLED:
		return drop(program, DROP_FIB);
	default:	/* such as a lightweight tunnel: what the lookup cannot do, the stack can */
		return as_it_came(pkt, program);
	}
#ifdef SERVICES
	if (pkt->translated && fib.ifindex == node->nic_ifindex && pkt->l3_size > node->nic_mtu)
		return beyond(skb, pkt, node->nic_mtu);
#endif
	if (fib.ifindex == node->nic_ifindex && pkt->l3_size > node->nic_mtu)
		return to_stack(program);	/* 5.10 and 5.11 check no tot_len */
	if (pkt->ttl <= 1)
		return TTL_EXPIRED;
#ifdef SERVICES	/* translate.c */
	if (translate(skb, pkt))
		return drop(program, DROP_REWRITE);
#endif
	if (decrement_ttl(skb, pkt))
		return drop(program, DROP_REWRITE);

	/* Kernels without "bpf: fib_lookup: require NUD_VALID" give success and no MAC. */
	if (result == FIB_SUCCESS && mac_known(fib.dmac) &&
	    !neighbour_due(nexthop_of(&fib) ^ (fib.ifindex << 16))) {
		if (write_macs(skb, fib.dmac, fib.smac))
			return drop(program, DROP_REWRITE);
		return redirected(program, VERDICT_FORWARD, bpf_redirect(fib.ifindex, 0));
	}
	/* The lookup leaves the next hop, of either family, in the destination's place. */
	nexthop.nh_family = fib.family;
	__builtin_memcpy(nexthop.ipv6_nh, fib.ipv6_dst, sizeof(nexthop.ipv6_nh));
	return redirected(program, VERDICT_NEIGH,
			  redirect_neigh(fib.ifindex, &nexthop, sizeof(nexthop), 0));
#endif
}
