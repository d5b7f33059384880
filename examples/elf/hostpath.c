/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * A small host-routing datapath, as anybody would write it: one ELF object, two tc programs,
 * nothing of the harness. What it cannot do in a few lines it leaves to the node's stack, by
 * TC_ACT_OK: errors, fragments, options, neighbours, the gateway itself.
 *
 *	from_pod	tc ingress of every lxc	checks the source; to a local pod, or off the node
 *	from_wire	tc ingress of every uplink	to a local pod
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <stdbool.h>
#include <stddef.h>

/* What libbpf's bpf_helpers.h would bring; the package is not needed for so little. */
#define SEC(name)		__attribute__((section(name), used))
#undef __always_inline
#define __always_inline		inline __attribute__((always_inline))
#define __uint(name, value)	int (*name)[value]
#define __type(name, value)	typeof(value) *name
#define bpf_htons(x)		__builtin_bswap16(x)	/* the object is for little-endian machines */
#define bpf_htonl(x)		__builtin_bswap32(x)

static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)BPF_FUNC_map_lookup_elem;
static long (*bpf_map_update_elem)(void *map, const void *key, const void *value,
				   __u64 flags) = (void *)BPF_FUNC_map_update_elem;
static __u64 (*bpf_ktime_get_ns)(void) = (void *)BPF_FUNC_ktime_get_ns;
static long (*bpf_redirect)(__u32 ifindex, __u64 flags) = (void *)BPF_FUNC_redirect;
static long (*bpf_redirect_peer)(__u32 ifindex, __u64 flags) = (void *)BPF_FUNC_redirect_peer;
static long (*bpf_redirect_neigh)(__u32 ifindex, struct bpf_redir_neigh *nh, int size,
				  __u64 flags) = (void *)BPF_FUNC_redirect_neigh;
static long (*bpf_fib_lookup)(void *ctx, struct bpf_fib_lookup *fib, int size,
			      __u32 flags) = (void *)BPF_FUNC_fib_lookup;
static __s64 (*bpf_csum_update)(struct __sk_buff *skb, __u32 sum) = (void *)BPF_FUNC_csum_update;
static long (*bpf_skb_pull_data)(struct __sk_buff *skb, __u32 len) =
	(void *)BPF_FUNC_skb_pull_data;

#define REFRESH_NS	100000000	/* bpf_redirect() alone would let neighbours go stale */
#define AF_INET		2
#define AF_INET6	10

/* Whose lxc this is. Written before the object is loaded, once for each lxc. */
const volatile __u32 pod_ip4;
const volatile __u32 pod_ip6[4];

struct endpoint {
	__u32 ifindex;		/* the pod's lxc */
	__u32 mtu;
	__u8 mac[ETH_ALEN];	/* the pod's eth0 */
	__u8 lxc_mac[ETH_ALEN];
};

struct address6 {
	__u32 word[4];
};

struct nexthop {
	__u32 ifindex;
	__u32 address[4];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct endpoint);
} pods4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct address6);
	__type(value, struct endpoint);
} pods6 SEC(".maps");

/* When a next hop was last told to the neighbour layer, by bpf_redirect_neigh(). */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 256);
	__type(key, struct nexthop);
	__type(value, __u64);
} refreshed SEC(".maps");

/* The headers, or NULL where they are not what these programs forward. */
static __always_inline void *headers(struct __sk_buff *skb, __u32 l3_size)
{
	void *data = (void *)(long)skb->data;

	if (data + ETH_HLEN + l3_size > (void *)(long)skb->data_end) {
		if (bpf_skb_pull_data(skb, ETH_HLEN + l3_size))
			return NULL;
		data = (void *)(long)skb->data;
		if (data + ETH_HLEN + l3_size > (void *)(long)skb->data_end)
			return NULL;
	}
	return data;
}

/* What a device's MTU is compared with; segments are cut to size when they leave. */
static __always_inline __u32 l3_size(struct __sk_buff *skb)
{
	return skb->gso_size ? 0 : skb->len - ETH_HLEN;
}

static __always_inline void write_macs(struct ethhdr *eth, const __u8 *to, const __u8 *from)
{
	__builtin_memcpy(eth->h_dest, to, ETH_ALEN);
	__builtin_memcpy(eth->h_source, from, ETH_ALEN);
}

static __always_inline void decrement_ttl(struct iphdr *ip)
{
	__u32 sum = ip->check + bpf_htons(0x0100);	/* RFC 1624, as ip_decrease_ttl() does */

	ip->check = sum + (sum >= 0xffff);
	ip->ttl--;
}

/* No header checksum balances the change: a NIC's sum over the whole packet is told of it. */
static __always_inline void decrement_hop_limit(struct __sk_buff *skb, struct ipv6hdr *ip)
{
	ip->hop_limit--;
	bpf_csum_update(skb, ~(__u32)bpf_htons(1));
}

static __always_inline bool routable4(const struct iphdr *ip)
{
	__u32 to = bpf_htonl(ip->daddr), from = bpf_htonl(ip->saddr);

	return ip->version == 4 && ip->ihl == 5 && ip->ttl > 1 &&
	       (to >> 28) < 0xe && (to >> 16) != 0xa9fe && (from >> 16) != 0xa9fe &&
	       (to >> 24) != 127 && to;
}

static __always_inline bool routable6(const struct ipv6hdr *ip)
{
	const __u32 *to = ip->daddr.s6_addr32, *from = ip->saddr.s6_addr32;

	return ip->version == 6 && ip->nexthdr != 0 && ip->hop_limit > 1 &&
	       (bpf_htonl(to[0]) >> 24) != 0xff && (bpf_htonl(to[0]) >> 22) != 0x3fa &&
	       (bpf_htonl(from[0]) >> 22) != 0x3fa && (from[0] | from[1] | from[2] | from[3]);
}

/* Whether it is time to send a packet through the neighbour layer. */
static __always_inline bool refresh_due(const struct bpf_fib_lookup *fib)
{
	struct nexthop key = { .ifindex = fib->ifindex };
	__u64 now = bpf_ktime_get_ns(), *last;

	__builtin_memcpy(key.address, fib->ipv6_dst, sizeof(key.address));
	last = bpf_map_lookup_elem(&refreshed, &key);
	if (last && now - *last < REFRESH_NS)
		return false;
	bpf_map_update_elem(&refreshed, &key, &now, BPF_ANY);
	return true;
}

/* Off the node, as the kernel's routes say; the lookup leaves the next hop in `fib`. */
static __always_inline bool leaves(struct __sk_buff *skb, struct bpf_fib_lookup *fib,
				   bool *resolved)
{
	long result = bpf_fib_lookup(skb, fib, sizeof(*fib), 0);
	__u8 known = fib->dmac[0] | fib->dmac[1] | fib->dmac[2] | fib->dmac[3] | fib->dmac[4] |
		     fib->dmac[5];

	if (result != BPF_FIB_LKUP_RET_SUCCESS && result != BPF_FIB_LKUP_RET_NO_NEIGH)
		return false;
	*resolved = result == BPF_FIB_LKUP_RET_SUCCESS && known && !refresh_due(fib);
	return true;
}

static __always_inline int transmit(struct ethhdr *eth, struct bpf_fib_lookup *fib, bool resolved)
{
	struct bpf_redir_neigh nexthop = {};

	if (resolved) {
		write_macs(eth, fib->dmac, fib->smac);
		return bpf_redirect(fib->ifindex, 0);
	}
	nexthop.nh_family = fib->family;
	__builtin_memcpy(nexthop.ipv6_nh, fib->ipv6_dst, sizeof(nexthop.ipv6_nh));
	return bpf_redirect_neigh(fib->ifindex, &nexthop, sizeof(nexthop), 0);
}

static __always_inline int deliver(struct ethhdr *eth, const struct endpoint *pod)
{
	write_macs(eth, pod->mac, pod->lxc_mac);
	return bpf_redirect_peer(pod->ifindex, 0);
}

static __always_inline int route4(struct __sk_buff *skb, bool from_pod)
{
	struct bpf_fib_lookup fib = {};
	struct endpoint *pod;
	struct ethhdr *eth;
	struct iphdr *ip;
	bool resolved = false;

	eth = headers(skb, sizeof(*ip));
	if (!eth)
		return TC_ACT_OK;
	ip = (void *)(eth + 1);
	if (!routable4(ip))
		return TC_ACT_OK;
	if (from_pod && ip->saddr != pod_ip4)
		return TC_ACT_SHOT;
	pod = bpf_map_lookup_elem(&pods4, &ip->daddr);
	if (pod) {
		if (l3_size(skb) > pod->mtu)
			return TC_ACT_OK;
		decrement_ttl(ip);
		return deliver(eth, pod);
	}
	if (!from_pod)
		return TC_ACT_OK;
	fib.family = AF_INET;
	fib.ifindex = skb->ifindex;
	fib.tot_len = l3_size(skb);
	fib.tos = ip->tos;
	fib.l4_protocol = ip->protocol;
	fib.ipv4_src = ip->saddr;
	fib.ipv4_dst = ip->daddr;
	if (!leaves(skb, &fib, &resolved))
		return TC_ACT_OK;
	decrement_ttl(ip);
	return transmit(eth, &fib, resolved);
}

static __always_inline int route6(struct __sk_buff *skb, bool from_pod)
{
	struct bpf_fib_lookup fib = {};
	struct endpoint *pod;
	struct ipv6hdr *ip;
	struct ethhdr *eth;
	bool resolved = false;

	eth = headers(skb, sizeof(*ip));
	if (!eth)
		return TC_ACT_OK;
	ip = (void *)(eth + 1);
	if (!routable6(ip))
		return TC_ACT_OK;
	if (from_pod)
		for (int i = 0; i < 4; i++)
			if (ip->saddr.s6_addr32[i] != pod_ip6[i])
				return TC_ACT_SHOT;
	pod = bpf_map_lookup_elem(&pods6, &ip->daddr);
	if (pod) {
		if (l3_size(skb) > pod->mtu)
			return TC_ACT_OK;
		decrement_hop_limit(skb, ip);
		return deliver(eth, pod);
	}
	if (!from_pod)
		return TC_ACT_OK;
	fib.family = AF_INET6;
	fib.ifindex = skb->ifindex;
	fib.tot_len = l3_size(skb);
	fib.flowinfo = *(__u32 *)ip & bpf_htonl(0x0fffffff);
	fib.l4_protocol = ip->nexthdr;
	__builtin_memcpy(fib.ipv6_src, &ip->saddr, sizeof(fib.ipv6_src));
	__builtin_memcpy(fib.ipv6_dst, &ip->daddr, sizeof(fib.ipv6_dst));
	if (!leaves(skb, &fib, &resolved))
		return TC_ACT_OK;
	decrement_hop_limit(skb, ip);
	return transmit(eth, &fib, resolved);
}

static __always_inline int route(struct __sk_buff *skb, bool from_pod)
{
	if (skb->pkt_type != PACKET_HOST || skb->vlan_present)
		return TC_ACT_OK;
	if (skb->protocol == bpf_htons(ETH_P_IP))
		return route4(skb, from_pod);
	if (skb->protocol == bpf_htons(ETH_P_IPV6))
		return route6(skb, from_pod);
	return TC_ACT_OK;
}

SEC("tc")
int from_pod(struct __sk_buff *skb)
{
	return route(skb, true);
}

SEC("tc")
int from_wire(struct __sk_buff *skb)
{
	return route(skb, false);
}

char _license[] SEC("license") = "Dual BSD/GPL";
