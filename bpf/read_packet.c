/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* From bytes to struct packet; false: malformed. */

/* As ip_rcv() asks: the header's sum is right, and all it speaks of is there. */
static __always_inline bool whole4(struct __sk_buff *skb, const struct iphdr *ip)
{
	const u16 *half = (const u16 *)ip;
	u32 sum = 0, length = bpf_ntohs(ip->tot_len);

	if (ip->ihl > 5)
		return true;	/* the stack's to judge: see has_options4() */
#pragma unroll
	for (u32 i = 0; i < sizeof(*ip) / sizeof(*half); i++)
		sum += half[i];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	/* A GSO packet of more than 64 KiB says that it has no length (BIG TCP). */
	return sum == 0xffff && ((length >= sizeof(*ip) && length <= skb->len - L3_OFFSET) ||
				 skb->gso_size);
}

static __always_inline bool read_packet4(struct __sk_buff *skb, struct packet *pkt)
{
	struct cursor cur;
	struct iphdr *ip;

	if (!cursor_at(&cur, skb, sizeof(*ip)))
		return false;
	ip = cur.l3;
	if (ip->version != 4 || ip->ihl < 5 || !whole4(skb, ip))
		return false;
	pkt->family = ADDRESS_FAMILY_INET;
	pkt->ttl = ip->ttl;
	pkt->protocol = ip->protocol;
	pkt->tos = ip->tos;
	pkt->src4 = ip->saddr;
	pkt->dst4 = ip->daddr;
	pkt->l3_size = skb->len - L3_OFFSET;
	pkt->later_fragment = ip->frag_off & bpf_htons(IP4_FRAGMENT_OFFSET);
	pkt->fragment = ip->frag_off & bpf_htons(IP4_FRAGMENT_OFFSET | IP4_MORE_FRAGMENTS);
	if (!pkt->fragment)
		parse_l4(pkt, skb, &cur, sizeof(*ip), sizeof(*ip));
	return true;
}

/* Options (router alert, source route) are for the stack to understand. */
static __always_inline bool has_options4(struct __sk_buff *skb)
{
	struct cursor cur;

	return cursor_at(&cur, skb, sizeof(struct iphdr)) && ((struct iphdr *)cur.l3)->ihl > 5;
}

/* Hop-by-hop options likewise: a router alert, or one that whoever does not know it must refuse. */
static __always_inline bool has_options6(const struct packet *pkt)
{
	return pkt->protocol == IPPROTO_HOPOPTS;
}

/* What stands between IPv6 and a TCP packet of more than 64 KiB that is not cut yet (BIG TCP). */
struct jumbo_header {
	u8 next_header, length, option, option_length;
	__be32 packet_length;
};

#define JUMBO_OPTION	0xc2	/* RFC 2675 */

static __always_inline bool is_big_tcp(struct __sk_buff *skb, const struct ipv6hdr *ip)
{
	struct jumbo_header jumbo;

	return ip->nexthdr == IPPROTO_HOPOPTS && !ip->payload_len && skb->gso_size &&
	       !bpf_skb_load_bytes(skb, L3_OFFSET + sizeof(*ip), &jumbo, sizeof(jumbo)) &&
	       jumbo.next_header == IPPROTO_TCP && !jumbo.length &&
	       jumbo.option == JUMBO_OPTION;
}

static __always_inline bool read_packet6(struct __sk_buff *skb, struct packet *pkt)
{
	struct cursor cur;
	struct ipv6hdr *ip;

	if (!cursor_at(&cur, skb, sizeof(*ip)))
		return false;
	ip = cur.l3;
	if (ip->version != 6)
		return false;
	if (bpf_ntohs(ip->payload_len) > skb->len - L3_OFFSET - sizeof(*ip))
		return false;
	pkt->family = ADDRESS_FAMILY_INET6;
	pkt->ttl = ip->hop_limit;
	pkt->flowinfo = *(__be32 *)ip & bpf_htonl(0x0fffffff);
	__builtin_memcpy(&pkt->src6, &ip->saddr, sizeof(pkt->src6));
	__builtin_memcpy(&pkt->dst6, &ip->daddr, sizeof(pkt->dst6));
	if (is_big_tcp(skb, ip)) {
		pkt->protocol = IPPROTO_TCP;
		parse_l4(pkt, skb, &cur, sizeof(*ip) + sizeof(struct jumbo_header), sizeof(*ip));
		return true;
	}
	pkt->protocol = ip->nexthdr;
	pkt->later_fragment = pkt->protocol == IPPROTO_HOPOPTS ||
			      pkt->protocol == IPPROTO_ROUTING ||
			      pkt->protocol == IPPROTO_FRAGMENT || pkt->protocol == IPPROTO_DSTOPTS;
	pkt->fragment = pkt->later_fragment;
	parse_l4(pkt, skb, &cur, sizeof(*ip), sizeof(*ip));
	return true;
}
