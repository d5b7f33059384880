/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * ICMP errors a router owes its hosts, written by the program itself: the quoted
 * packet stays where it is, room for the new headers is opened in front of it.
 * A NIC's sum over the whole packet (CHECKSUM_COMPLETE) counts the room as zeros, so
 * what is stored there must be added to it.
 */

#define QUOTE_MAX4	(576 - (int)sizeof(struct iphdr) - (int)sizeof(struct icmphdr))	/* RFC 1812, 4.3.2.3 */
#define QUOTE_MAX6	(1280 - (int)sizeof(struct ipv6hdr) - (int)sizeof(struct icmp6hdr)) /* RFC 4443, 2.4(c) */
#define CHUNK		64
#define CHUNKS		((QUOTE_MAX6 + CHUNK - 1) / CHUNK)

static __always_inline u16 fold(u64 sum)
{
	sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + ((sum >> 32) & 0xffff);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* Sum of length bytes from offset on, added to seed; the last chunk is padded with zeros. */
static __always_inline s64 sum_bytes(struct __sk_buff *skb, u32 offset, u64 length, u32 seed)
{
	s64 sum = seed;

	/* Without these the compiler drops or merges the bounds that the verifier needs. */
	asm volatile("" : "+r"(length));
	for (int i = 0; i < CHUNKS; i++) {
		u8 chunk[CHUNK] = {};
		u64 done = i * CHUNK, size;

		if (done >= length)
			break;
		size = length - done;
		if (size > CHUNK)
			size = CHUNK;
		/* 1 to CHUNK by arithmetic: from `!= 0` the verifier learns nothing before 6.8. */
		asm volatile("" : "+r"(size));
		size = ((size - 1) & (CHUNK - 1)) + 1;
		if (bpf_skb_load_bytes(skb, offset + done, chunk, size))
			return -1;
		sum = csum_diff(NULL, 0, (void *)chunk, CHUNK, sum);
		if (sum < 0)
			return sum;
	}
	return sum;
}

/* RFC 1122 3.2.2 and RFC 4443 2.4(e): never about an error, a later fragment or a group. */
static __always_inline bool error_allowed(struct __sk_buff *skb, const struct packet *pkt,
					  u32 l4_offset)
{
	u8 type;

	if (skb->pkt_type != PACKET_HOST || pkt->later_fragment)
		return false;
	if (pkt->family == ADDRESS_FAMILY_INET) {
		if (link_scope4(pkt->src4) || !pkt->src4)
			return false;
		if (pkt->protocol != IPPROTO_ICMP)
			return true;
		if (bpf_skb_load_bytes(skb, l4_offset, &type, 1))
			return false;
		return type == ICMP_ECHO || type == ICMP_ECHOREPLY || type == ICMP_TIMESTAMP;
	}
	if (pkt->src6.bytes[0] == 0xff || unspecified6(&pkt->src6))
		return false;
	if (pkt->protocol != IPPROTO_ICMPV6)
		return true;
	if (bpf_skb_load_bytes(skb, l4_offset, &type, 1))
		return false;
	return type & 0x80;	/* informational */
}

#define BUDGET_JIFFIES	64	/* 64 ms to 640 ms, by the kernel's HZ */
#define BUDGET_ERRORS	64

/* RFC 4443 2.4(f) and RFC 1812 4.3.2.8: a router limits the errors it sends; here per CPU. */
static __always_inline bool error_affordable(void)
{
	u32 zero = 0;
	struct error_budget *budget = error_budgets.lookup(&zero);
	u64 window = jiffies64() / BUDGET_JIFFIES;

	if (!budget)
		return false;
	if (budget->window != window) {
		budget->window = window;
		budget->sent = 0;
	}
	if (budget->sent >= BUDGET_ERRORS)
		return false;
	budget->sent += 1;
	return true;
}

/* Cut the packet to its quote, open room for the new headers, send it back to its sender. */
static __always_inline int open_room(struct __sk_buff *skb, u32 quote, u32 room)
{
	u8 destination[ETH_ALEN], source[ETH_ALEN];
	struct cursor cur;

	/* It also takes the marks of GSO off, with which the error would be cut in segments. */
	if ((skb->gso_size || skb->len > L3_OFFSET + quote) &&
	    bpf_skb_change_tail(skb, L3_OFFSET + quote, 0))
		return -1;
	if (bpf_skb_adjust_room(skb, room, BPF_ADJ_ROOM_MAC, 0))
		return -1;
	if (!cursor_at(&cur, skb, sizeof(struct iphdr)))
		return -1;
	__builtin_memcpy(destination, cur.eth->h_source, ETH_ALEN);
	__builtin_memcpy(source, cur.eth->h_dest, ETH_ALEN);
	return write_macs(skb, destination, source);
}

static __always_inline int error4(struct __sk_buff *skb, const struct packet *pkt, u32 from,
				  u8 type, u8 code, u32 rest)
{
	struct {
		struct iphdr ip;
		struct icmphdr icmp;
	} head = {};
	u32 quote = skb->len - L3_OFFSET;
	s64 sum;

	if (quote > QUOTE_MAX4)
		quote = QUOTE_MAX4;
	if (open_room(skb, quote, sizeof(head)))
		return -1;
	head.icmp.type = type;
	head.icmp.code = code;
#ifdef SERVICES
	head.icmp.un.gateway = rest;
#endif
	sum = csum_diff(NULL, 0, (void *)&head.icmp, sizeof(head.icmp), 0);
	sum = sum_bytes(skb, L3_OFFSET + sizeof(head), quote, sum);
	if (sum < 0)
		return -1;
	head.icmp.checksum = fold(sum);
	head.ip.version = 4;
	head.ip.ihl = 5;
	head.ip.tos = 0xc0;	/* internetwork control, as icmp_send() */
	head.ip.tot_len = bpf_htons(sizeof(head) + quote);
	head.ip.ttl = 64;
	head.ip.protocol = IPPROTO_ICMP;
	head.ip.saddr = from;
	head.ip.daddr = pkt->src4;
	head.ip.check = fold(csum_diff(NULL, 0, (void *)&head.ip, sizeof(head.ip), 0));
	return bpf_skb_store_bytes(skb, L3_OFFSET, &head, sizeof(head), BPF_F_RECOMPUTE_CSUM);
}

struct pseudo6 {
	union address6 source, destination;
	__be32 length;
	__be32 next_header;
};

static __always_inline int error6(struct __sk_buff *skb, const struct packet *pkt,
				  const union address6 *from, u8 type, u8 code, u32 rest)
{
	struct {
		struct ipv6hdr ip;
		struct icmp6hdr icmp;
	} head = {};
	struct pseudo6 pseudo = {};
	u32 quote = skb->len - L3_OFFSET;
	s64 sum;

	if (quote > QUOTE_MAX6)
		quote = QUOTE_MAX6;
	if (open_room(skb, quote, sizeof(head)))
		return -1;
	head.icmp.icmp6_type = type;
	head.icmp.icmp6_code = code;
#ifdef SERVICES
	head.icmp.icmp6_dataun.un_data32[0] = rest;
#endif
	pseudo.source = *from;
	pseudo.destination = pkt->src6;
	pseudo.length = bpf_htonl(sizeof(head.icmp) + quote);
	pseudo.next_header = bpf_htonl(IPPROTO_ICMPV6);
	sum = csum_diff(NULL, 0, (void *)&pseudo, sizeof(pseudo), 0);
	sum = csum_diff(NULL, 0, (void *)&head.icmp, sizeof(head.icmp), sum);
	sum = sum_bytes(skb, L3_OFFSET + sizeof(head), quote, sum);
	if (sum < 0)
		return -1;
	head.icmp.icmp6_cksum = fold(sum);
	head.ip.version = 6;
	head.ip.payload_len = bpf_htons(sizeof(head.icmp) + quote);
	head.ip.nexthdr = IPPROTO_ICMPV6;
	head.ip.hop_limit = 64;
	__builtin_memcpy(&head.ip.saddr, from, sizeof(*from));
	__builtin_memcpy(&head.ip.daddr, &pkt->src6, sizeof(pkt->src6));
	return bpf_skb_store_bytes(skb, L3_OFFSET, &head, sizeof(head), BPF_F_RECOMPUTE_CSUM);
}

/* What a program says of a packet that it cannot send on. */
struct complaint {
	u8 type4, code4, type6, code6;
	u32 rest;		/* of the error's header */
	u32 reason;		/* to drop it, where no error may be sent */
};

static __always_inline int complain(struct __sk_buff *skb, struct packet *pkt, u32 program,
				    struct complaint about)
{
	u32 l4_offset = L3_OFFSET + (pkt->family == ADDRESS_FAMILY_INET ? sizeof(struct iphdr) :
									    sizeof(struct ipv6hdr));
	bool from_pod = program == PROGRAM_FROM_CONTAINER;
	struct node_config *node;
	u32 zero = 0;
	int failed;

#ifdef SERVICES
	if (pkt->translated && pkt->later_fragment)
		return drop(program, about.reason);
#endif
	/* Whether it is a first fragment, and what it carries, the stack reads further on. */
	if (pkt->family == ADDRESS_FAMILY_INET6 && pkt->later_fragment)
		return to_stack(program);
#ifdef SERVICES	/* the error goes to who sent the packet, whatever it was to become */
	if (pkt->translated && read_source(skb, pkt))
		return drop(program, DROP_REWRITE);
#endif
	node = config.lookup(&zero);
	if (!node || !error_allowed(skb, pkt, l4_offset) || !error_affordable())
		return drop(program, about.reason);
	if (pkt->family == ADDRESS_FAMILY_INET) {
		failed = error4(skb, pkt, from_pod ? node->gateway4 : node->node4, about.type4,
				about.code4, about.rest);
	} else {
		union address6 from = from_pod ? node->gateway6 : node->node6;

		failed = error6(skb, pkt, &from, about.type6, about.code6, about.rest);
	}
	if (failed)
		return drop(program, DROP_REWRITE);
	return redirected(program, VERDICT_ANSWER, bpf_redirect(skb->ifindex, 0));
}

/* TTL or hop limit has run out on the way (ICMP time exceeded in transit, code 0). */
#define TIME_EXCEEDED						\
	((struct complaint){ ICMP_TIME_EXCEEDED, ICMP_EXC_TTL,	\
			     ICMPV6_TIME_EXCEED, ICMPV6_EXC_HOPLIMIT, 0, DROP_TTL })
#define PORT_UNREACHABLE						\
	((struct complaint){ ICMP_DEST_UNREACH, ICMP_PORT_UNREACH,	\
			     ICMPV6_DEST_UNREACH, ICMPV6_PORT_UNREACH, 0, DROP_NO_BACKEND })
#define TELL_MTU(mtu)						\
	((struct complaint){ ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED,	\
			     ICMPV6_PKT_TOOBIG, 0, bpf_htonl(mtu), DROP_TRANSLATION })
