/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What the stages looked up is written here, in one place, when nothing can go wrong any more but
 * the writing: until then the packet is as it came, and an ICMP error quotes what its sender sent.
 */
#ifdef SERVICES

#define ADDRESSES4	(L3_OFFSET + __builtin_offsetof(struct iphdr, saddr))
#define SUM4		(L3_OFFSET + __builtin_offsetof(struct iphdr, check))
#define ADDRESSES6	(L3_OFFSET + __builtin_offsetof(struct ipv6hdr, saddr))
#define ICMP_SUM	__builtin_offsetof(struct icmphdr, checksum)	/* ICMPv6's too */
#define TCP_SUM		__builtin_offsetof(struct tcphdr, check)
#define UDP_SUM		__builtin_offsetof(struct udphdr, check)

/* Ports, and the sum that covers them and, by the pseudo header, the addresses. */
static __always_inline int write_ports(struct __sk_buff *skb, const struct packet *pkt,
				       s64 addresses)
{
	bool tcp = pkt->l4_protocol == IPPROTO_TCP;
	u32 at = pkt->l4_offset, sum = at + (tcp ? TCP_SUM : UDP_SUM), after;
	u64 mangled = tcp ? 0 : BPF_F_MARK_MANGLED_0;	/* UDP's sum of 0 stays 0: none */
	struct {
		u32 ports;
		u16 length, sum;	/* UDP's */
	} before;
	u64 unsummed;

	if (!at)
		return 0;
	if (bpf_skb_load_bytes(skb, at, &before, sizeof(before)))
		return -1;
	after = pkt->sport | (u32)pkt->dport << 16;
	/* Where no sum takes up the ports, a NIC's own has to. */
	unsummed = tcp || before.sum ? 0 : BPF_F_RECOMPUTE_CSUM;
	asm volatile("" : "+r"(unsummed));	/* else all that follows is built twice */
	return bpf_l4_csum_replace(skb, sum, 0, addresses, mangled | BPF_F_PSEUDO_HDR) ||
	       bpf_l4_csum_replace(skb, sum, before.ports, after, mangled | sizeof(after)) ||
	       bpf_skb_store_bytes(skb, at, &after, sizeof(after), unsummed);
}

static __always_inline int write_ends4(struct __sk_buff *skb, const struct packet *pkt)
{
	u32 before[2], after[2] = { pkt->src4, pkt->dst4 };
	s64 changed;

	if (bpf_skb_load_bytes(skb, ADDRESSES4, before, sizeof(before)))
		return -1;
	changed = csum_diff(before, sizeof(before), after, sizeof(after), 0);
	return write_ports(skb, pkt, changed) ||
	       bpf_l3_csum_replace(skb, SUM4, 0, changed, 0) ||
	       bpf_skb_store_bytes(skb, ADDRESSES4, after, sizeof(after), 0);
}

/*
 * A NIC's sum over the whole packet (CHECKSUM_COMPLETE) stays as it is when an address and the sum
 * of layer 4 change; but PSEUDO_HDR moves it, as if a header's sum took up the address. IPv6 has
 * none: RECOMPUTE_CSUM puts it back.
 */
static __always_inline int write_ends6(struct __sk_buff *skb, const struct packet *pkt)
{
	union address6 before[2], after[2] = { pkt->src6, pkt->dst6 };
	s64 changed;

	if (bpf_skb_load_bytes(skb, ADDRESSES6, before, sizeof(before)))
		return -1;
	changed = csum_diff(before, sizeof(before), after, sizeof(after), 0);
	return write_ports(skb, pkt, changed) ||
	       bpf_skb_store_bytes(skb, ADDRESSES6, after, sizeof(after), BPF_F_RECOMPUTE_CSUM);
}

/*
 * What an ICMP error quotes of layer 4: ports, and their sum where it is quoted at all, as all of
 * UDP's is and of TCP's if 18 bytes are. The error's own sum takes up whatever changes.
 */
static __always_inline int write_quoted_ports(struct __sk_buff *skb, const struct quote *quote,
					      u32 icmp_sum, u32 ports, s64 addresses)
{
	bool tcp = quote->protocol == IPPROTO_TCP;
	u32 at = quote->l4_offset, sum = at + (tcp ? TCP_SUM : UDP_SUM), before;
	u16 old, new;
	s64 changed;

	if (bpf_skb_load_bytes(skb, at, &before, sizeof(before)))
		return -1;
	if (!bpf_skb_load_bytes(skb, sum, &old, sizeof(old)) && (tcp || old)) {
		changed = csum_diff(&before, sizeof(before), &ports, sizeof(ports), addresses);
		new = fold((u32)changed + (u64)(u16)~old);
		if (!tcp && !new)
			new = 0xffff;	/* RFC 768 */
		if (bpf_l4_csum_replace(skb, icmp_sum, old, new, sizeof(new)) ||
		    bpf_skb_store_bytes(skb, sum, &new, sizeof(new), 0))
			return -1;
	}
	return bpf_l4_csum_replace(skb, icmp_sum, before, ports, sizeof(ports)) ||
	       bpf_skb_store_bytes(skb, at, &ports, sizeof(ports), 0);
}

static __always_inline int write_error4(struct __sk_buff *skb, const struct packet *pkt)
{
	u32 zero = 0, before[2], after[2] = { pkt->src4, pkt->dst4 }, icmp_sum;
	struct scratch4 *at = police_scratch4.lookup(&zero);
	u32 inside = __builtin_offsetof(struct iphdr, saddr);
	s64 changed;

	if (!at || bpf_skb_load_bytes(skb, ADDRESSES4, before, sizeof(before)))
		return -1;
	changed = csum_diff(before, sizeof(before), after, sizeof(after), 0);
	if (bpf_l3_csum_replace(skb, SUM4, 0, changed, 0) ||
	    bpf_skb_store_bytes(skb, ADDRESSES4, after, sizeof(after), 0))
		return -1;
	after[0] = at->partner.src;
	after[1] = at->partner.dst;
	inside += at->quote.offset;
	icmp_sum = at->quote.offset - sizeof(struct icmphdr) + ICMP_SUM;
	if (bpf_skb_load_bytes(skb, inside, before, sizeof(before)))
		return -1;
	changed = csum_diff(before, sizeof(before), after, sizeof(after), 0);
	/* The quoted header's sum takes up the quoted addresses: the error's stays as it is. */
	return bpf_l3_csum_replace(skb, at->quote.offset + __builtin_offsetof(struct iphdr, check),
				   0, changed, 0) ||
	       bpf_skb_store_bytes(skb, inside, after, sizeof(after), 0) ||
	       write_quoted_ports(skb, &at->quote, icmp_sum,
				  at->partner.sport | (u32)at->partner.dport << 16, changed);
}

static __always_inline int write_error6(struct __sk_buff *skb, const struct packet *pkt)
{
	union address6 before[2], after[2] = { pkt->src6, pkt->dst6 };
	u32 zero = 0, icmp_sum, inside = __builtin_offsetof(struct ipv6hdr, saddr);
	struct scratch6 *at = police_scratch6.lookup(&zero);
	s64 changed;

	if (!at || bpf_skb_load_bytes(skb, ADDRESSES6, before, sizeof(before)))
		return -1;
	icmp_sum = at->quote.offset - sizeof(struct icmphdr) + ICMP_SUM;
	changed = csum_diff(before, sizeof(before), after, sizeof(after), 0);
	if (bpf_l4_csum_replace(skb, icmp_sum, 0, changed, BPF_F_PSEUDO_HDR) ||
	    bpf_skb_store_bytes(skb, ADDRESSES6, after, sizeof(after), BPF_F_RECOMPUTE_CSUM))
		return -1;
	after[0] = at->partner.src;
	after[1] = at->partner.dst;
	inside += at->quote.offset;
	if (bpf_skb_load_bytes(skb, inside, before, sizeof(before)))
		return -1;
	changed = csum_diff(before, sizeof(before), after, sizeof(after), 0);
	return bpf_l4_csum_replace(skb, icmp_sum, 0, changed, 0) ||
	       bpf_skb_store_bytes(skb, inside, after, sizeof(after), 0) ||
	       write_quoted_ports(skb, &at->quote, icmp_sum,
				  at->partner.sport | (u32)at->partner.dport << 16, changed);
}

/* Write what the packet is to become; 0, or it could not be written to. */
static __always_inline int translate(struct __sk_buff *skb, const struct packet *pkt)
{
	if (!pkt->translated)
		return 0;
	if (pkt->translated == TRANSLATED_ERROR)
		return pkt->family == ADDRESS_FAMILY_INET ? write_error4(skb, pkt) :
							    write_error6(skb, pkt);
	return pkt->family == ADDRESS_FAMILY_INET ? write_ends4(skb, pkt) : write_ends6(skb, pkt);
}

/*
 * A translated packet is too big for where it goes. Only the stack can fragment, and it sees the
 * packet as it will be; of an error it would quote that, so the program writes one itself.
 */
static __always_inline int beyond(struct __sk_buff *skb, struct packet *pkt, u32 mtu)
{
	u16 part;

	if (pkt->ttl <= 1)
		return TTL_EXPIRED;
	if (pkt->family == ADDRESS_FAMILY_INET &&
	    !bpf_skb_load_bytes(skb, L3_OFFSET + __builtin_offsetof(struct iphdr, frag_off), &part,
				sizeof(part)) &&
	    !(part & bpf_htons(IP4_DONT_FRAGMENT)))
		return UP_THE_STACK;
	pkt->mtu = mtu;
	return TOO_BIG;
}

#endif
