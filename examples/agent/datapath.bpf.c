/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A small datapath: pods of this node by bpf_redirect_peer, everything else by bpf_fib_lookup and
 * bpf_redirect_neigh. What it does not understand it leaves to the node's stack: TC_ACT_OK.
 *
 * Build: clang -O2 -g -target bpf -c datapath.bpf.c -o datapath.bpf.o
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/udp.h>

/* What libbpf's bpf_helpers.h has, of which so little is used here that it need not be installed. */
#define SEC(name) __attribute__((section(name), used))
#define __uint(name, value) int(*name)[value]
#define __type(name, value) typeof(value) *name
#define __inline inline __attribute__((always_inline))

static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)BPF_FUNC_map_lookup_elem;
static long (*bpf_skb_pull_data)(struct __sk_buff *, __u32) = (void *)BPF_FUNC_skb_pull_data;
static long (*bpf_skb_load_bytes)(const void *, __u32, void *, __u32) =
	(void *)BPF_FUNC_skb_load_bytes;
static long (*bpf_skb_store_bytes)(struct __sk_buff *, __u32, const void *, __u32, __u64) =
	(void *)BPF_FUNC_skb_store_bytes;
static long (*bpf_l3_csum_replace)(struct __sk_buff *, __u32, __u64, __u64, __u64) =
	(void *)BPF_FUNC_l3_csum_replace;
static long (*bpf_fib_lookup)(void *, struct bpf_fib_lookup *, int, __u32) =
	(void *)BPF_FUNC_fib_lookup;
static long (*bpf_redirect_peer)(__u32, __u64) = (void *)BPF_FUNC_redirect_peer;
static long (*bpf_redirect_neigh)(__u32, struct bpf_redir_neigh *, int, __u64) =
	(void *)BPF_FUNC_redirect_neigh;

#define AF_INET		2
#define AF_INET6	10
#define IP_OFFSET	ETH_HLEN
#define HOST_ORDER	(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
#define be16(value)	(HOST_ORDER ? __builtin_bswap16(value) : (value))
#define be32(value)	(HOST_ORDER ? __builtin_bswap32(value) : (value))

/* An IPv6 address; an IPv4 address is its last word, and the others are 0. */
struct address {
	__u32 words[4];
};

struct pod {
	__u32 ifindex;	/* of its host-side interface; 0: no pod, but the node itself */
	__u32 mtu;
	__u8 mac[ETH_ALEN];
	__u8 host_mac[ETH_ALEN];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct address);
	__type(value, struct pod);
} pods SEC(".maps");

struct packet {
	struct address source, destination;
	__u32 size;	/* of the packet, or of one segment, without the Ethernet header */
	__be32 flow;	/* TOS, or traffic class and flow label */
	__u8 family, ttl, protocol;
};

/* All that the stack would judge by looking further: options, bad headers, links, groups. */
static __inline _Bool read4(struct __sk_buff *skb, struct packet *packet)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct iphdr *ip = data + IP_OFFSET;
	__u16 *half = (__u16 *)ip;
	__u32 sum = 0, source, destination;

	if ((void *)(ip + 1) > end || ip->version != 4 || ip->ihl != 5)
		return 0;
#pragma unroll
	for (int i = 0; i < 10; i++)
		sum += half[i];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	if (sum != 0xffff)
		return 0;
	/* A packet that is cut into segments later may be longer than the field can say. */
	if (!skb->gso_size && (be16(ip->tot_len) < sizeof(*ip) ||
			       be16(ip->tot_len) > skb->len - IP_OFFSET))
		return 0;
	source = be32(ip->saddr);
	destination = be32(ip->daddr);
	if (source >> 24 == 0 || source >> 24 == 127 || source >> 28 >= 14 ||
	    source >> 16 == 0xa9fe || destination >> 24 == 0 || destination >> 24 == 127 ||
	    destination >> 28 >= 14 || destination >> 16 == 0xa9fe)
		return 0;
	packet->family = AF_INET;
	packet->ttl = ip->ttl;
	packet->protocol = ip->protocol;
	packet->flow = ip->tos;
	packet->source.words[3] = ip->saddr;
	packet->destination.words[3] = ip->daddr;
	return 1;
}

static __inline _Bool off_link(const struct in6_addr *address)
{
	const __u8 *byte = address->s6_addr;
	const __be32 *word = address->s6_addr32;

	if (byte[0] == 0xff || (byte[0] == 0xfe && (byte[1] & 0xc0) == 0x80))
		return 0;
	/* Neither :: nor ::1. */
	return word[0] | word[1] | word[2] | (word[3] & ~be32(1));
}

static __inline _Bool read6(struct __sk_buff *skb, struct packet *packet)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct ipv6hdr *ip = data + IP_OFFSET;

	if ((void *)(ip + 1) > end || ip->version != 6 || ip->nexthdr == IPPROTO_HOPOPTS ||
	    !off_link(&ip->saddr) || !off_link(&ip->daddr))
		return 0;
	if (!skb->gso_size && be16(ip->payload_len) > skb->len - IP_OFFSET - sizeof(*ip))
		return 0;
	packet->family = AF_INET6;
	packet->ttl = ip->hop_limit;
	packet->protocol = ip->nexthdr;
	packet->flow = *(__be32 *)ip & be32(0x0fffffff);
	__builtin_memcpy(&packet->source, &ip->saddr, sizeof(packet->source));
	__builtin_memcpy(&packet->destination, &ip->daddr, sizeof(packet->destination));
	return 1;
}

/* A packet that is cut into segments later has to fit in such segments only. */
static __inline __u32 size_of(struct __sk_buff *skb, const struct packet *packet)
{
	__u32 header = packet->family == AF_INET ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);
	__u32 transport = sizeof(struct udphdr);
	struct tcphdr tcp;

	if (!skb->gso_size)
		return skb->len - IP_OFFSET;
	if (packet->protocol == IPPROTO_TCP &&
	    !bpf_skb_load_bytes(skb, IP_OFFSET + header, &tcp, sizeof(tcp)))
		transport = tcp.doff * 4;
	return header + transport + skb->gso_size;
}

static __inline _Bool read_packet(struct __sk_buff *skb, struct packet *packet)
{
	_Bool understood = 0;

	if (skb->vlan_present)
		return 0;
	if (skb->protocol == be16(ETH_P_IP)) {
		bpf_skb_pull_data(skb, IP_OFFSET + sizeof(struct iphdr));
		understood = read4(skb, packet);
	} else if (skb->protocol == be16(ETH_P_IPV6)) {
		bpf_skb_pull_data(skb, IP_OFFSET + sizeof(struct ipv6hdr));
		understood = read6(skb, packet);
	}
	packet->size = size_of(skb, packet);
	return understood;
}

/* What a router does to every packet it passes on. Returns 0, or an error. */
static __inline long decrement_ttl(struct __sk_buff *skb, const struct packet *packet)
{
	__u8 ttl = packet->ttl - 1;
	__u32 offset = IP_OFFSET + __builtin_offsetof(struct iphdr, ttl);

	if (packet->family == AF_INET6) {
		offset = IP_OFFSET + __builtin_offsetof(struct ipv6hdr, hop_limit);
		return bpf_skb_store_bytes(skb, offset, &ttl, 1, BPF_F_RECOMPUTE_CSUM);
	}
	if (bpf_l3_csum_replace(skb, IP_OFFSET + __builtin_offsetof(struct iphdr, check),
				be16(packet->ttl << 8), be16(ttl << 8), 2))
		return -1;
	return bpf_skb_store_bytes(skb, offset, &ttl, 1, 0);
}

/* The pod gets the packet as if it came from the wire, without the host's side seeing it. */
static __inline int deliver(struct __sk_buff *skb, const struct packet *packet,
			    const struct pod *pod)
{
	__u8 macs[2 * ETH_ALEN];

	if (packet->ttl <= 1 || packet->size > pod->mtu)
		return TC_ACT_OK;	/* the stack sends the ICMP error, or fragments */
	__builtin_memcpy(macs, pod->mac, ETH_ALEN);
	__builtin_memcpy(macs + ETH_ALEN, pod->host_mac, ETH_ALEN);
	if (decrement_ttl(skb, packet) || bpf_skb_store_bytes(skb, 0, macs, sizeof(macs), 0))
		return TC_ACT_SHOT;
	return bpf_redirect_peer(pod->ifindex, 0);
}

static __inline int forward(struct __sk_buff *skb, const struct packet *packet)
{
	struct bpf_fib_lookup fib = {
		.family = packet->family,
		.l4_protocol = packet->protocol,
		.tot_len = packet->size,
		.ifindex = skb->ifindex,
	};
	struct bpf_redir_neigh next = {};

	if (packet->family == AF_INET) {
		fib.tos = packet->flow;
		fib.ipv4_src = packet->source.words[3];
		fib.ipv4_dst = packet->destination.words[3];
	} else {
		fib.flowinfo = packet->flow;
		__builtin_memcpy(fib.ipv6_src, &packet->source, sizeof(packet->source));
		__builtin_memcpy(fib.ipv6_dst, &packet->destination, sizeof(packet->destination));
	}
	switch (bpf_fib_lookup(skb, &fib, sizeof(fib), 0)) {
	case BPF_FIB_LKUP_RET_SUCCESS:
	case BPF_FIB_LKUP_RET_NO_NEIGH:
		break;
	case BPF_FIB_LKUP_RET_BLACKHOLE:
	case BPF_FIB_LKUP_RET_UNREACHABLE:
	case BPF_FIB_LKUP_RET_PROHIBIT:
	case BPF_FIB_LKUP_RET_FWD_DISABLED:
		return TC_ACT_SHOT;
	default:	/* the node itself, no route, too big: the stack's */
		return TC_ACT_OK;
	}
	if (packet->ttl <= 1)
		return TC_ACT_OK;
	if (decrement_ttl(skb, packet))
		return TC_ACT_SHOT;
	/* The lookup leaves the next hop, of either family, in the destination's place. */
	next.nh_family = fib.family;
	__builtin_memcpy(next.ipv6_nh, fib.ipv6_dst, sizeof(next.ipv6_nh));
	return bpf_redirect_neigh(fib.ifindex, &next, sizeof(next), 0);
}

SEC("tc")
int from_pod(struct __sk_buff *skb)
{
	struct packet packet = {};
	struct pod *own, *pod;

	if (skb->pkt_type != PACKET_HOST || !read_packet(skb, &packet))
		return TC_ACT_OK;
	own = bpf_map_lookup_elem(&pods, &packet.source);
	if (!own || own->ifindex != skb->ifindex)
		return TC_ACT_SHOT;	/* another's address */
	pod = bpf_map_lookup_elem(&pods, &packet.destination);
	if (!pod)
		return forward(skb, &packet);
	return pod->ifindex ? deliver(skb, &packet, pod) : TC_ACT_OK;
}

SEC("tc")
int from_wire(struct __sk_buff *skb)
{
	struct packet packet = {};
	struct pod *sender, *pod;

	if (skb->pkt_type != PACKET_HOST || !read_packet(skb, &packet))
		return TC_ACT_OK;
	sender = bpf_map_lookup_elem(&pods, &packet.source);
	pod = bpf_map_lookup_elem(&pods, &packet.destination);
	if ((sender && !sender->ifindex) || !pod || !pod->ifindex)
		return TC_ACT_OK;
	return deliver(skb, &packet, pod);
}

char _license[] SEC("license") = "Dual BSD/GPL";
