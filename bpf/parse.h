/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* One cursor over the packet; every header is parsed through it, bounds first. */
#ifndef PARSE_H
#define PARSE_H

#include "hostroute.h"

#define L3_OFFSET	ETH_HLEN
#define GSO_BY_FRAGS	0xffff	/* include/linux/skbuff.h: SCTP's */

struct cursor {
	struct ethhdr *eth;
	void *l3;
	void *end;
};

/*
 * The verifier forbids arithmetic on the context pointer, and the compiler shares
 * `skb + offset` between two loads; written as one instruction it cannot.
 */
#define LOAD_POINTER(field, skb)						\
({										\
	void *pointer;								\
	asm volatile("%0 = *(u32 *)(%1 + %2)"					\
		     : "=r"(pointer)						\
		     : "r"(skb), "i"(__builtin_offsetof(struct __sk_buff, field)));	\
	pointer;								\
})

/*
 * Point the cursor at a packet whose first bytes (Ethernet and bytes of layer 3)
 * are linear; pull them in when a driver left them in a fragment.
 */
static __always_inline bool cursor_at(struct cursor *cur, struct __sk_buff *skb, u32 bytes)
{
	void *data = LOAD_POINTER(data, skb);

	cur->end = LOAD_POINTER(data_end, skb);
	if (data + L3_OFFSET + bytes > cur->end) {
		if (bpf_skb_pull_data(skb, L3_OFFSET + bytes))
			return false;
		data = LOAD_POINTER(data, skb);
		cur->end = LOAD_POINTER(data_end, skb);
		if (data + L3_OFFSET + bytes > cur->end)
			return false;
	}
	cur->eth = data;
	cur->l3 = data + L3_OFFSET;
	return true;
}

/* What forwarding needs to know of a packet, of either family, read once. */
struct packet {
	u8 family;		/* ADDRESS_FAMILY_* */
	u8 ttl;			/* or hop limit */
	u8 protocol;		/* or next header */
	u8 tos;
	bool has_ports;
	bool fragment;		/* a part of a packet, or behind an IPv6 extension header */
	bool later_fragment;	/* no first part, or behind one: no ICMP error about it */
	u16 sport, dport;
	u32 l3_size;		/* of one segment, if the packet is GSO */
	__be32 flowinfo;
	u32 src4, dst4;
	union address6 src6, dst6;
#ifdef FLOWS
	u16 l4_offset;		/* 0: no layer 4 in it, as in a later fragment */
#endif
#ifdef SERVICES
	u8 translated;		/* enum translation: addresses and ports above are what it becomes */
	u8 l4_protocol;		/* then: behind extension headers */
	u32 mtu;		/* that it does not fit: see TOO_BIG */
#endif
};

/*
 * Ports, for rules and multipath; and the size a GSO segment has on the wire. Of the
 * l3_length bytes before layer 4, each segment keeps as many as l3_kept says.
 */
static __always_inline void parse_l4(struct packet *pkt, struct __sk_buff *skb,
				     const struct cursor *cur, u32 l3_length, u32 l3_kept)
{
	u32 l4_offset = L3_OFFSET + l3_length, l4_length = sizeof(struct udphdr);
	u32 gso_size = skb->gso_size;
	const u16 *ports = cur->l3 + l3_length;
	u16 copied[2];

#ifdef FLOWS
	pkt->l4_offset = l4_offset;
#endif
	if (pkt->protocol == IPPROTO_TCP || pkt->protocol == IPPROTO_UDP) {
		if ((void *)(ports + 2) <= cur->end) {
			pkt->has_ports = true;
			pkt->sport = ports[0];
			pkt->dport = ports[1];
		} else if (!bpf_skb_load_bytes(skb, l4_offset, copied, sizeof(copied))) {
			pkt->has_ports = true;
			pkt->sport = copied[0];
			pkt->dport = copied[1];
		}
	}
	if (!gso_size) {
		pkt->l3_size = skb->len - L3_OFFSET;
	} else if (gso_size == GSO_BY_FRAGS) {
		pkt->l3_size = 0;	/* each segment has a size of its own, which fits */
	} else {
		struct tcphdr tcp;

		if (pkt->protocol == IPPROTO_TCP &&
		    !bpf_skb_load_bytes(skb, l4_offset, &tcp, sizeof(tcp)))
			l4_length = tcp.doff * 4;
		pkt->l3_size = l3_kept + l4_length + gso_size;
	}
}

/* What of addresses both families' text names alike, but for the digit. */
typedef u32 address4;
typedef union address6 address6;
#define PASS4(address)	(address)
#define PASS6(address)	(&(address))

static __always_inline bool same_address4(const address4 *a, const address4 *b)
{
	return *a == *b;
}

static __always_inline bool same_address6(const union address6 *a, const union address6 *b)
{
	return a->words[0] == b->words[0] && a->words[1] == b->words[1] &&
	       a->words[2] == b->words[2] && a->words[3] == b->words[3];
}

static __always_inline bool unspecified6(const union address6 *a)
{
	return !(a->words[0] | a->words[1] | a->words[2] | a->words[3]);
}

/* A tagged frame belongs to another link; a broadcast one is no router's to forward. */
static __always_inline bool for_the_stack(struct __sk_buff *skb)
{
	return skb->vlan_present || skb->pkt_type == PACKET_BROADCAST ||
	       skb->pkt_type == PACKET_MULTICAST;
}

/* Multicast (ff00::/8) and link-local (fe80::/10) never leave their link (RFC 4291). */
static __always_inline bool link_scope6(const union address6 *a)
{
	return a->bytes[0] == 0xff || (a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80);
}

/*
 * Multicast, limited broadcast and 169.254.0.0/16 (RFC 3927) likewise; 0.0.0.0 and 127.0.0.0/8 do
 * not even leave their host (RFC 1122, 3.2.1.3). The rest of 0.0.0.0/8 is as any to Linux.
 */
static __always_inline bool link_scope4(u32 address)
{
	u8 first = address & 0xff, second = (address >> 8) & 0xff;

	return first >= 224 || first == 127 || !address || (first == 169 && second == 254);
}

#endif
