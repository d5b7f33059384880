/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Flows: two entries each, one for the way there and one for the way back, which hold each
 * other's key. A packet costs one lookup by its own tuple. One map a family, LRU and not per
 * CPU: both directions of a flow may run on different ones.
 *
 * Expired entries are ignored, so no garbage collector is needed. LRU may evict one entry of
 * a pair: renewing the other writes it again. Stores are plain: a race loses only a renewal.
 *
 * Here and in other parts, what stands under EACH FAMILY is built for IPv6 too: read_part() in
 * harness/bpf/source.py puts 6 for the 4 that names end in.
 */
#ifdef FLOWS

enum flow_hook {
	FLOW_LOCAL = 0,		/* the tuple's source is a pod of this node, or the node */
	FLOW_WIRE = 1,		/* it came over the wire */
	FLOW_NODE = 2,		/* services: the node's own stack sends it */
};

struct tuple4 {
	u32 src, dst;
	u16 sport, dport;
	u8 protocol;
	u8 hook;		/* enum flow_hook: the same tuple means another thing at each */
	u8 pad[2];
};

struct tuple6 {
	union address6 src, dst;
	u16 sport, dport;
	u8 protocol;
	u8 hook;
	u8 pad[2];
};

/* TCP, as far as timeouts need it; SYN and FIN: shifted left by one in replies. */
#define FLOW_SYN	(1 << 0)
#define FLOW_FIN	(1 << 2)
#define FLOW_RESET	(1 << 4)
#define BOTH_WAYS(bit)	((bit) | (bit) << 1)

struct flow_state {
	u64 expires;		/* jiffies */
	u64 quiet;		/* until then the pair needs no renewal */
	u32 generation;		/* of the rules that let it pass */
	u8 reply;		/* 1: the entry is that of the way back */
	u8 tcp;			/* FLOW_*, of both ways */
	u8 translated;		/* the way back is not this one turned round */
	u8 pad;
};

/* EACH FAMILY */
struct flow4 {
	struct tuple4 partner;
	struct flow_state state;
};

BPF_TABLE("lru_hash", struct tuple4, struct flow4, flows4, FLOWS);

/* END OF EACH FAMILY */

/* Values that the agent sets; times in jiffies. */
struct flow_config {
	u32 generation;
	u32 renewal;		/* how often a pair in use is renewed */
	u32 tcp_established, tcp_syn, tcp_closing, udp, icmp, fragment;
#ifdef SERVICES
	u32 nat_first, nat_ports;	/* ports that no socket of the node is given */
#endif
};

/* Which ports a fragmented packet has: only its first part says so. */
struct fragment4 {
	u32 src, dst, id;
	u8 protocol;
	u8 pad[3];
};

struct fragment6 {
	union address6 src, dst;
	u32 id;
};

struct fragment {
	u64 expires;
	u16 sport, dport;
	u8 begins;
	u8 protocol;		/* IPv6: behind the headers that only the first part shows */
	u8 pad[2];
};

BPF_TABLE("lru_hash", struct fragment4, struct fragment, fragments4, 1024);
BPF_TABLE("lru_hash", struct fragment6, struct fragment, fragments6, 1024);
BPF_ARRAY(flow_settings, struct flow_config, 1);

#define TCP_FIN	0x01
#define TCP_SYN	0x02
#define TCP_RST	0x04
#define TCP_ACK	0x10

/* What a TCP header's flags say of its flow. */
static __always_inline u8 tcp_bits(u8 flags, bool reply)
{
	u8 bits = 0;

	if (flags & TCP_RST)
		return FLOW_RESET;
	if (flags & TCP_SYN)
		bits |= FLOW_SYN << reply;
	if (flags & TCP_FIN)
		bits |= FLOW_FIN << reply;
	return bits;
}

static __always_inline bool closing(u8 tcp)
{
	return tcp & FLOW_RESET || (tcp & BOTH_WAYS(FLOW_FIN)) == BOTH_WAYS(FLOW_FIN);
}

static __always_inline u32 timeout_of(const struct flow_config *config, u8 protocol, u8 tcp)
{
	if (protocol == IPPROTO_TCP) {
		if (closing(tcp))
			return config->tcp_closing;
		/* Without any SYN it began before we looked: netfilter's nf_conntrack_tcp_loose. */
		return (tcp & BOTH_WAYS(FLOW_SYN)) == FLOW_SYN ? config->tcp_syn :
								 config->tcp_established;
	}
	return protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6 ? config->icmp : config->udp;
}

/* Whether an entry still speaks of a packet's flow; a SYN on one that is closing begins another. */
static __always_inline bool alive(const struct flow_state *state, u64 now, u8 tcp_flags)
{
	return now < state->expires &&
	       !(closing(state->tcp) && (tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN);
}

/* Nothing to write and nothing to judge: what nearly every packet meets. */
static __always_inline bool settled(const struct flow_state *state)
{
	u32 zero = 0;
	struct flow_config *config = flow_settings.lookup(&zero);

	return config && state->generation == config->generation && jiffies64() < state->quiet;
}

/* EACH FAMILY */
static __always_inline void reverse4(struct tuple4 *to, const struct tuple4 *from, u8 hook)
{
	to->src = from->dst;
	to->dst = from->src;
	to->sport = from->dport;
	to->dport = from->sport;
	to->protocol = from->protocol;
	to->hook = hook;
}

/* END OF EACH FAMILY */

/* A flow's state as of now, when a packet of it passed. */
static __always_inline void renewed(struct flow_state *state, const struct flow_config *config,
				    u8 protocol, u64 now)
{
	state->generation = config->generation;
	state->expires = now + timeout_of(config, protocol, state->tcp);
	state->quiet = now + config->renewal;
	if (state->quiet > state->expires)
		state->quiet = state->expires;
}

static __always_inline void renew(struct flow_state *state, const struct flow_state *by)
{
	state->expires = by->expires;
	state->quiet = by->quiet;
	state->generation = by->generation;
	state->tcp = by->tcp;
}

/* EACH FAMILY */
/* Write what `state` says to both entries of a pair; whichever is missing is made anew. */
static __always_inline void renew_pair4(const struct tuple4 *key, const struct tuple4 *partner,
					const struct flow_state *state)
{
	struct flow4 *there, fresh = { .state = *state };

	there = flows4.lookup((struct tuple4 *)key);
	if (there && there->state.reply == state->reply) {
		renew(&there->state, state);
	} else {
		fresh.partner = *partner;
		flows4.update((struct tuple4 *)key, &fresh);
	}
	fresh.state.reply = !state->reply;
	there = flows4.lookup((struct tuple4 *)partner);
	if (there && there->state.reply == fresh.state.reply) {
		renew(&there->state, state);
	} else {
		fresh.partner = *key;
		flows4.update((struct tuple4 *)partner, &fresh);
	}
}

/* END OF EACH FAMILY */

/* The ports of a later fragment are those of its first, which must have passed before it. */
static __always_inline int fragment_ports4(const struct packet *pkt, struct transport *t, u64 now)
{
	struct fragment4 key = { pkt->src4, pkt->dst4, t->id, t->protocol };
	struct fragment *first = fragments4.lookup(&key);

	if (!first || now >= first->expires)
		return REFUSED(DROP_FRAGMENT_UNKNOWN);
	t->sport = first->sport;
	t->dport = first->dport;
	t->begins = first->begins;
	return 0;
}

static __always_inline void remember_fragment4(const struct packet *pkt, const struct transport *t,
					       u64 expires)
{
	struct fragment4 key = { pkt->src4, pkt->dst4, t->id, t->protocol };
	struct fragment first = { expires, t->sport, t->dport, t->begins };

	fragments4.update(&key, &first);
}

/* As for IPv4. What follows a later fragment's header is of the packet's inside (RFC 8200, 4.5). */
static __always_inline int fragment_ports6(const struct packet *pkt, struct transport *t, u64 now)
{
	struct fragment6 key = { pkt->src6, pkt->dst6, t->id };
	struct fragment *first = fragments6.lookup(&key);

	if (!first || now >= first->expires)
		return REFUSED(DROP_FRAGMENT_UNKNOWN);
	t->sport = first->sport;
	t->dport = first->dport;
	t->begins = first->begins;
	t->protocol = first->protocol;
	return 0;
}

static __always_inline void remember_fragment6(const struct packet *pkt, const struct transport *t,
					       u64 expires)
{
	struct fragment6 key = { pkt->src6, pkt->dst6, t->id };
	struct fragment first = { expires, t->sport, t->dport, t->begins, t->protocol };

	fragments6.update(&key, &first);
}

#endif
