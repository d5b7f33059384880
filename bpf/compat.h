/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What BCC's own prototypes and old UAPI headers lack. The programs must build
 * against the headers of any distribution and load on 5.10.
 */
#ifndef COMPAT_H
#define COMPAT_H

#include <uapi/linux/bpf.h>
#include <uapi/linux/if_ether.h>
#include <uapi/linux/if_arp.h>
#include <uapi/linux/if_packet.h>
#include <uapi/linux/in.h>
#include <uapi/linux/ip.h>
#include <uapi/linux/ipv6.h>
#include <uapi/linux/icmp.h>
#include <uapi/linux/icmpv6.h>
#include <uapi/linux/tcp.h>
#include <uapi/linux/udp.h>
#include <uapi/linux/pkt_cls.h>

/* BCC declares redirect_neigh without plen: the verifier then says "R4 !read_ok". */
static long (*redirect_neigh)(u32 ifindex, struct bpf_redir_neigh *params, int plen,
			      u64 flags) = (void *)BPF_FUNC_redirect_neigh;
static long (*redirect_peer)(u32 ifindex, u64 flags) = (void *)BPF_FUNC_redirect_peer;
/* BCC says int; before 6.13 the helper's sum has 32 bits, and half of all sums would look negative. */
static s64 (*csum_diff)(const void *from, u32 from_size, const void *to, u32 to_size,
			u32 seed) = (void *)BPF_FUNC_csum_diff;
static u64 (*jiffies64)(void) = (void *)BPF_FUNC_jiffies64;

#ifndef NULL
#define NULL ((void *)0)
#endif

#define IP4_FRAGMENT_OFFSET	0x1fff
#define IP4_MORE_FRAGMENTS	0x2000
#define IP4_DONT_FRAGMENT	0x4000
#define ADDRESS_FAMILY_INET	2
#define ADDRESS_FAMILY_INET6	10

#endif
