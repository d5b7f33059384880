/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The pods' gateway has no device: ARP and neighbour solicitations for its address
 * are answered here with the lxc's own MAC. All others are the stack's business.
 */

struct arp4 {
	struct arphdr head;
	u8 sender_mac[ETH_ALEN];
	u8 sender[4];
	u8 target_mac[ETH_ALEN];
	u8 target[4];
} __attribute__((packed));

/* The pod that an lxc belongs to. */
static __always_inline const struct source *pod_of(struct __sk_buff *skb)
{
	u32 ifindex = skb->ifindex;

	return sources.lookup(&ifindex);
}

static __always_inline int answer_arp(struct __sk_buff *skb)
{
	const struct source *pod = pod_of(skb);
	struct node_config *node;
	u32 zero = 0, target;
	struct cursor cur;
	struct arp4 arp;

	if (!pod)
		return drop(PROGRAM_FROM_CONTAINER, DROP_NO_ENDPOINT);
	node = config.lookup(&zero);
	if (!node || !cursor_at(&cur, skb, sizeof(arp)))
		return to_stack(PROGRAM_FROM_CONTAINER);
	__builtin_memcpy(&arp, cur.l3, sizeof(arp));
	__builtin_memcpy(&target, arp.target, sizeof(target));
	if (arp.head.ar_hrd != bpf_htons(ARPHRD_ETHER) || arp.head.ar_pro != bpf_htons(ETH_P_IP) ||
	    arp.head.ar_hln != ETH_ALEN || arp.head.ar_pln != sizeof(target) ||
	    arp.head.ar_op != bpf_htons(ARPOP_REQUEST) || target != node->gateway4)
		return to_stack(PROGRAM_FROM_CONTAINER);

	__builtin_memcpy(cur.eth->h_dest, arp.sender_mac, ETH_ALEN);
	__builtin_memcpy(cur.eth->h_source, pod->lxc_mac, ETH_ALEN);
	arp.head.ar_op = bpf_htons(ARPOP_REPLY);
	__builtin_memcpy(arp.target_mac, arp.sender_mac, ETH_ALEN);
	__builtin_memcpy(arp.target, arp.sender, sizeof(arp.target));
	__builtin_memcpy(arp.sender_mac, pod->lxc_mac, ETH_ALEN);
	__builtin_memcpy(arp.sender, &target, sizeof(target));
	if (bpf_skb_store_bytes(skb, L3_OFFSET, &arp, sizeof(arp), BPF_F_RECOMPUTE_CSUM))
		return drop(PROGRAM_FROM_CONTAINER, DROP_REWRITE);
	return redirected(PROGRAM_FROM_CONTAINER, VERDICT_ANSWER, bpf_redirect(skb->ifindex, 0));
}

#define ND_SOLICITATION		135
#define ND_ADVERTISEMENT	136
#define ND_FIRST		133	/* router solicitation */
#define ND_LAST			137	/* redirect */
#define ND_TARGET_MAC		2
#define ND_HOP_LIMIT		255	/* RFC 4861, 7.1.1 */

struct solicitation {
	struct ipv6hdr ip;
	struct icmp6hdr icmp;
	union address6 target;
} __attribute__((packed));

struct advertisement {
	struct ethhdr eth;
	struct ipv6hdr ip;
	struct icmp6hdr icmp;
	union address6 target;
	u8 option, option_length, mac[ETH_ALEN];
} __attribute__((packed));

static __always_inline int answer_solicitation(struct __sk_buff *skb)
{
	const struct source *pod = pod_of(skb);
	struct advertisement adv = {};
	struct pseudo6 pseudo = {};
	struct solicitation *sol;
	struct node_config *node;
	u32 zero = 0, size = sizeof(adv) - sizeof(adv.eth) - sizeof(adv.ip);
	struct cursor cur;
	bool duplicate_check;
	s64 sum;

	if (!pod)
		return drop(PROGRAM_FROM_CONTAINER, DROP_NO_ENDPOINT);
	node = config.lookup(&zero);
	if (!node || !cursor_at(&cur, skb, sizeof(*sol)))
		return to_stack(PROGRAM_FROM_CONTAINER);
	sol = cur.l3;
	if (sol->icmp.icmp6_type != ND_SOLICITATION || sol->icmp.icmp6_code ||
	    sol->ip.hop_limit != ND_HOP_LIMIT ||
	    !same_address6(&sol->target, &node->gateway6))
		return to_stack(PROGRAM_FROM_CONTAINER);

	__builtin_memcpy(&pseudo.source, &node->gateway6, sizeof(pseudo.source));
	__builtin_memcpy(&pseudo.destination, &sol->ip.saddr, sizeof(pseudo.destination));
	__builtin_memcpy(adv.eth.h_dest, cur.eth->h_source, ETH_ALEN);
	/* A pod that checks whether the gateway's address is free hears so by multicast:
	 * it has no address yet (RFC 4862, 5.4.4). */
	duplicate_check = unspecified6(&pseudo.destination);
	if (duplicate_check) {
		pseudo.destination.words[0] = bpf_htonl(0xff020000);
		pseudo.destination.words[3] = bpf_htonl(1);
		*(u16 *)adv.eth.h_dest = bpf_htons(0x3333);
		adv.eth.h_dest[2] = 0;
		adv.eth.h_dest[3] = 0;
		adv.eth.h_dest[4] = 0;
		adv.eth.h_dest[5] = 1;
	}
	__builtin_memcpy(adv.eth.h_source, pod->lxc_mac, ETH_ALEN);
	adv.eth.h_proto = bpf_htons(ETH_P_IPV6);
	adv.ip.version = 6;
	adv.ip.payload_len = bpf_htons(size);
	adv.ip.nexthdr = IPPROTO_ICMPV6;
	adv.ip.hop_limit = ND_HOP_LIMIT;
	__builtin_memcpy(&adv.ip.saddr, &pseudo.source, sizeof(pseudo.source));
	__builtin_memcpy(&adv.ip.daddr, &pseudo.destination, sizeof(pseudo.destination));
	adv.icmp.icmp6_type = ND_ADVERTISEMENT;
	adv.icmp.icmp6_router = 1;
	adv.icmp.icmp6_solicited = !duplicate_check;
	adv.icmp.icmp6_override = 1;
	adv.target = pseudo.source;
	adv.option = ND_TARGET_MAC;
	adv.option_length = 1;
	__builtin_memcpy(adv.mac, pod->lxc_mac, ETH_ALEN);
	pseudo.length = bpf_htonl(size);
	pseudo.next_header = bpf_htonl(IPPROTO_ICMPV6);
	sum = csum_diff(NULL, 0, (void *)&pseudo, sizeof(pseudo), 0);
	sum = csum_diff(NULL, 0, (void *)&adv.icmp, size, sum);
	adv.icmp.icmp6_cksum = fold(sum);
	if (bpf_skb_change_tail(skb, sizeof(adv), 0) ||
	    bpf_skb_store_bytes(skb, 0, &adv.eth, sizeof(adv.eth), 0) ||
	    bpf_skb_store_bytes(skb, L3_OFFSET, &adv.ip, sizeof(adv) - sizeof(adv.eth),
				BPF_F_RECOMPUTE_CSUM))
		return drop(PROGRAM_FROM_CONTAINER, DROP_REWRITE);
	return redirected(PROGRAM_FROM_CONTAINER, VERDICT_ANSWER, bpf_redirect(skb->ifindex, 0));
}

static __always_inline bool is_neighbour_discovery(struct __sk_buff *skb,
						   const struct packet *pkt)
{
	u8 type;

	if (pkt->protocol != IPPROTO_ICMPV6 ||
	    bpf_skb_load_bytes(skb, L3_OFFSET + sizeof(struct ipv6hdr), &type, 1))
		return false;
	return type >= ND_FIRST && type <= ND_LAST;
}
