/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What of a packet's layer 4 makes its flow: ports, or what stands for them, behind options,
 * extension headers and fragment headers. Functions return 0, or REFUSED(a reason to drop it).
 */
#ifdef FLOWS

#define REFUSED(reason)		((reason) + 1)
#define NO_SUBJECT		(-1)	/* passes, and is not remembered */
#define EXTENSIONS		6	/* headers walked over, at most */
#define TCP_FLAGS		13	/* offset in the header */
#define QUOTED			8	/* bytes of layer 4 that every ICMP error quotes (RFC 792) */

struct transport {
	u16 sport, dport;	/* an echo's id stands for the port of who asks; 0 on the other side */
	u8 protocol;		/* behind the extension headers */
	u8 tcp_flags;
	bool begins;		/* may be the first of a flow: neither an ICMP error nor an echo's reply */
	bool error;		/* an ICMP error; what it quotes begins at `quote` */
	bool fragment, later;	/* a part of a packet; not its first */
	u32 id;			/* of the packet that it is a part of */
	u32 offset;		/* of layer 4 */
	u32 quote;
};

/* Of an ICMP message: whether it is an error, and whose port its id stands for. */
static __always_inline void read_icmp(struct transport *t, const u8 *head, bool ipv4)
{
	u8 type = head[0], request = ipv4 ? ICMP_ECHO : ICMPV6_ECHO_REQUEST;
	u16 id;

	__builtin_memcpy(&id, head + 4, sizeof(id));
	if (type == request) {
		t->sport = id;
	} else if (type == (ipv4 ? ICMP_ECHOREPLY : ICMPV6_ECHO_REPLY)) {
		t->dport = id;
		t->begins = false;
	} else if (ipv4) {
		t->error = type == ICMP_DEST_UNREACH || type == ICMP_SOURCE_QUENCH ||
			   type == ICMP_REDIRECT || type == ICMP_TIME_EXCEEDED ||
			   type == ICMP_PARAMETERPROB;
	} else {
		t->error = type < ICMPV6_ECHO_REQUEST;
		if (type >= ND_FIRST && type <= ND_LAST)
			t->begins = false;	/* of a link's own, which nothing routes */
	}
	if (t->error)
		t->begins = false;
	t->quote = t->offset + sizeof(struct icmphdr);
}

/* Layer 4 as far as every ICMP error quotes it. */
static __always_inline bool read_ports(struct __sk_buff *skb, struct transport *t, bool ipv4)
{
	u8 head[QUOTED];

	if (t->protocol != IPPROTO_TCP && t->protocol != IPPROTO_UDP &&
	    t->protocol != (ipv4 ? IPPROTO_ICMP : IPPROTO_ICMPV6))
		return true;
	if (bpf_skb_load_bytes(skb, t->offset, head, sizeof(head)))
		return false;
	if (t->protocol == IPPROTO_TCP || t->protocol == IPPROTO_UDP) {
		__builtin_memcpy(&t->sport, head, sizeof(t->sport));
		__builtin_memcpy(&t->dport, head + 2, sizeof(t->dport));
	} else {
		read_icmp(t, head, ipv4);
	}
	return true;
}

/* `usual`: where layer 4 begins but for a jumbo header (BIG TCP). */
static __always_inline u8 read_tcp_flags(struct __sk_buff *skb, u32 offset, u32 usual)
{
	u8 *data = LOAD_POINTER(data, skb), *end = LOAD_POINTER(data_end, skb), flags = 0;

	if (offset == usual && data + usual + TCP_FLAGS + 1 <= end)
		return data[usual + TCP_FLAGS];
	bpf_skb_load_bytes(skb, offset + TCP_FLAGS, &flags, sizeof(flags));
	return flags;
}

/* Nearly every packet: its ports were read already, right behind a header of fixed size. */
static __always_inline void plain_ports(struct __sk_buff *skb, const struct packet *pkt,
					struct transport *t, u32 usual)
{
	t->offset = pkt->l4_offset;
	t->sport = pkt->sport;
	t->dport = pkt->dport;
	if (t->protocol == IPPROTO_TCP)
		t->tcp_flags = read_tcp_flags(skb, t->offset, usual);
}

/* `size`: of layer 4 in this packet; a first fragment too short for its ports hides them. */
static __always_inline int far_ports(struct __sk_buff *skb, struct transport *t, u32 size,
				     bool ipv4)
{
	u32 head = t->protocol == IPPROTO_TCP ? sizeof(struct tcphdr) : QUOTED;

	if (t->later)
		return 0;	/* the first part's: see fragment_ports4() */
	if (t->protocol == IPPROTO_TCP || t->protocol == IPPROTO_UDP ||
	    t->protocol == (ipv4 ? IPPROTO_ICMP : IPPROTO_ICMPV6)) {
		if (size < head || !read_ports(skb, t, ipv4))
			return REFUSED(DROP_MALFORMED);
	}
	if (t->protocol == IPPROTO_TCP)
		bpf_skb_load_bytes(skb, t->offset + TCP_FLAGS, &t->tcp_flags, 1);
	return 0;
}

static __always_inline int read_transport4(struct __sk_buff *skb, const struct packet *pkt,
					   struct transport *t)
{
	struct cursor cur;
	struct iphdr *ip;

	t->protocol = pkt->protocol;
	t->begins = true;
	if (!cursor_at(&cur, skb, sizeof(*ip)))
		return REFUSED(DROP_MALFORMED);
	ip = cur.l3;
	if (pkt->has_ports && ip->ihl == 5) {
		plain_ports(skb, pkt, t, L3_OFFSET + sizeof(*ip));
		return 0;
	}
	t->fragment = pkt->fragment;
	t->later = pkt->later_fragment;
	t->id = ip->id;
	t->offset = L3_OFFSET + ip->ihl * 4;
	return far_ports(skb, t, bpf_ntohs(ip->tot_len) - ip->ihl * 4, true);
}

/* Over the extension headers to layer 4; false: more of them than anybody needs. */
static __always_inline bool walk_extensions(struct __sk_buff *skb, struct transport *t)
{
#pragma unroll
	for (int i = 0; i < EXTENSIONS; i++) {
		u8 head[8];
		u16 part;

		if (t->protocol != IPPROTO_HOPOPTS && t->protocol != IPPROTO_ROUTING &&
		    t->protocol != IPPROTO_DSTOPTS && t->protocol != IPPROTO_FRAGMENT)
			return true;
		if (bpf_skb_load_bytes(skb, t->offset, head, sizeof(head)))
			return false;
		if (t->protocol == IPPROTO_FRAGMENT) {
			__builtin_memcpy(&part, head + 2, sizeof(part));
			__builtin_memcpy(&t->id, head + 4, sizeof(t->id));
			t->fragment = true;
			t->later = part & bpf_htons(~7);
			t->offset += sizeof(head);
		} else {
			t->offset += (head[1] + 1) * 8;
		}
		t->protocol = head[0];
		if (t->later)
			return true;
	}
	return t->protocol != IPPROTO_HOPOPTS && t->protocol != IPPROTO_ROUTING &&
	       t->protocol != IPPROTO_DSTOPTS && t->protocol != IPPROTO_FRAGMENT;
}

static __always_inline int read_transport6(struct __sk_buff *skb, const struct packet *pkt,
					   struct transport *t)
{
	u32 whole = skb->len;
	struct cursor cur;

	t->protocol = pkt->protocol;
	t->begins = true;
	t->offset = L3_OFFSET + sizeof(struct ipv6hdr);
	if (pkt->has_ports) {
		plain_ports(skb, pkt, t, L3_OFFSET + sizeof(struct ipv6hdr));
		return 0;
	}
	if (!walk_extensions(skb, t))
		return REFUSED(DROP_MALFORMED);
	if (t->fragment) {	/* what follows its end only pads the frame */
		if (!cursor_at(&cur, skb, sizeof(struct ipv6hdr)))
			return REFUSED(DROP_MALFORMED);
		whole = L3_OFFSET + sizeof(struct ipv6hdr) +
			bpf_ntohs(((struct ipv6hdr *)cur.l3)->payload_len);
	}
	return far_ports(skb, t, whole > t->offset ? whole - t->offset : 0, false);
}

#endif
