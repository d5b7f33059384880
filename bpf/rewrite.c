/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What a router does to a packet it forwards: TTL - 1 and new MAC addresses. */

static __always_inline int decrement_ttl(struct __sk_buff *skb, const struct packet *pkt)
{
	struct cursor cur;

	if (pkt->family == ADDRESS_FAMILY_INET) {
		struct iphdr *ip;
		u32 check;

		if (!cursor_at(&cur, skb, sizeof(*ip)))
			return -1;
		ip = cur.l3;
		check = ip->check;
		check += bpf_htons(0x0100);	/* RFC 1624; as ip_decrease_ttl() */
		ip->check = check + (check >= 0xffff);
		ip->ttl -= 1;
	} else {
		struct ipv6hdr *ip;

		if (!cursor_at(&cur, skb, sizeof(*ip)))
			return -1;
		ip = cur.l3;
		ip->hop_limit -= 1;
		/* IPv6 has no header checksum to balance the change, so a NIC's sum over
		 * the whole packet (CHECKSUM_COMPLETE) must be told of it: one less. */
		bpf_csum_update(skb, ~(u32)bpf_htons(1));
	}
	return 0;
}

static __always_inline int write_macs(struct __sk_buff *skb, const u8 *destination,
				      const u8 *source)
{
	struct cursor cur;

	if (!cursor_at(&cur, skb, sizeof(struct iphdr)))
		return -1;
	__builtin_memcpy(cur.eth->h_dest, destination, ETH_ALEN);
	__builtin_memcpy(cur.eth->h_source, source, ETH_ALEN);
	return 0;
}

/* Up the stack, which would not know a packet that is about to become another. */
static __always_inline int as_it_came(const struct packet *pkt, u32 program)
{
#ifdef SERVICES
	if (pkt->translated)
		return drop(program, DROP_TRANSLATION);
#endif
	return to_stack(program);
}

#ifdef SERVICES
/* Whose packet it is, as it stands there. */
static __always_inline int read_source(struct __sk_buff *skb, struct packet *pkt)
{
	if (pkt->family == ADDRESS_FAMILY_INET)
		return bpf_skb_load_bytes(skb, L3_OFFSET + __builtin_offsetof(struct iphdr, saddr),
					  &pkt->src4, sizeof(pkt->src4));
	return bpf_skb_load_bytes(skb, L3_OFFSET + __builtin_offsetof(struct ipv6hdr, saddr),
				  &pkt->src6, sizeof(pkt->src6));
}
#endif
