/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * An echo request to the gateway is answered here: the packet turns round. All else
 * that is addressed to it has no host to go to, and would follow the default route.
 */

#define ECHO_HOP_LIMIT	64

/* Type from request to reply in place; the sum is over what changes alone (RFC 1624). */
static __always_inline int turn_type(struct __sk_buff *skb, u32 l4_offset, u8 request, u8 reply)
{
	return bpf_l4_csum_replace(skb, l4_offset + __builtin_offsetof(struct icmphdr, checksum),
				   bpf_htons(request << 8), bpf_htons(reply << 8), sizeof(u16)) ||
	       bpf_skb_store_bytes(skb, l4_offset, &reply, sizeof(reply), 0);
}

/* Addresses change places, which no sum notices; the reply's TTL is the node's own. */
static __always_inline int turn_header4(struct __sk_buff *skb, const struct packet *pkt)
{
	u16 before = bpf_htons(pkt->ttl << 8), after = bpf_htons(ECHO_HOP_LIMIT << 8);
	u32 addresses[2] = { pkt->dst4, pkt->src4 };
	u8 ttl = ECHO_HOP_LIMIT;

	return bpf_l3_csum_replace(skb, L3_OFFSET + __builtin_offsetof(struct iphdr, check),
				   before, after, sizeof(u16)) ||
	       bpf_skb_store_bytes(skb, L3_OFFSET + __builtin_offsetof(struct iphdr, ttl), &ttl, 1,
				   0) ||
	       bpf_skb_store_bytes(skb, L3_OFFSET + __builtin_offsetof(struct iphdr, saddr),
				   addresses, sizeof(addresses), 0);
}

static __always_inline int turn_header6(struct __sk_buff *skb, const struct packet *pkt)
{
	union address6 addresses[2] = { pkt->dst6, pkt->src6 };
	u8 hop_limit = ECHO_HOP_LIMIT;

	return bpf_skb_store_bytes(skb, L3_OFFSET + __builtin_offsetof(struct ipv6hdr, hop_limit),
				   &hop_limit, 1, BPF_F_RECOMPUTE_CSUM) ||
	       bpf_skb_store_bytes(skb, L3_OFFSET + __builtin_offsetof(struct ipv6hdr, saddr),
				   addresses, sizeof(addresses), 0);
}

static __always_inline int answer_echo(struct __sk_buff *skb, const struct packet *pkt,
				       const u8 *lxc_mac)
{
	bool ipv4 = pkt->family == ADDRESS_FAMILY_INET;
	u32 l4_offset = L3_OFFSET + (ipv4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr));
	u8 type, request = ipv4 ? ICMP_ECHO : ICMPV6_ECHO_REQUEST, mac[ETH_ALEN];

	if (pkt->fragment || pkt->protocol != (ipv4 ? IPPROTO_ICMP : IPPROTO_ICMPV6) ||
	    bpf_skb_load_bytes(skb, l4_offset, &type, 1) || type != request)
		return drop(PROGRAM_FROM_CONTAINER, DROP_GATEWAY);
	if (bpf_skb_load_bytes(skb, ETH_ALEN, mac, ETH_ALEN) ||
	    turn_type(skb, l4_offset, request, ipv4 ? ICMP_ECHOREPLY : ICMPV6_ECHO_REPLY) ||
	    (ipv4 ? turn_header4(skb, pkt) : turn_header6(skb, pkt)) ||
	    write_macs(skb, mac, lxc_mac))
		return drop(PROGRAM_FROM_CONTAINER, DROP_REWRITE);
	return redirected(PROGRAM_FROM_CONTAINER, VERDICT_ANSWER, bpf_redirect(skb->ifindex, 0));
}
