/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Services: who is asked at a front, and with what addresses and ports. A flow's two entries hold
 * each other's keys (flow.c): a packet becomes its partner turned round, so nothing else is kept.
 *
 * Asked by a pod of this node, a service's flow begins at from_container; asked at a NodePort or
 * an external address from elsewhere, at from_netdev. A reply is turned back by who sees it first:
 * from_container, from_netdev, or, of a process of the node, to_container or to_netdev.
 */
#ifdef SERVICES

/* As harness/datapath/services.py has them. */
#define NODE_PORTS_FIRST	30000
#define NODE_PORTS_LAST		32767
#define PORT_TRIES		32
#define NO_SERVICE		(-1)

enum scope {
	SCOPE_INSIDE = 0,	/* pods of the cluster ask */
	SCOPE_OUTSIDE = 1,
};

enum service_flag {
	SERVICE_MASQUERADE = 1,	/* to a backend elsewhere, the node asks in its client's place */
	SERVICE_SILENT = 2,	/* who finds no backend is not told */
};

/* What an agent says of networks. */
enum network {
	NETWORK_SERVICES = 1,	/* never leaves the node */
	NETWORK_PODS = 2,	/* of the whole cluster */
};

/* What an ICMP error quotes. */
struct quote {
	u32 offset, l4_offset;
	u32 protocol;
};

enum translation {
	TRANSLATED_ENDS = 1,	/* addresses and ports */
	TRANSLATED_ERROR = 2,	/* an ICMP error: its addresses, and what it quotes */
};

struct front4 {
	u32 address;		/* 0: any of the node's, for a NodePort */
	u16 port;
	u8 protocol;
	u8 scope;
};

struct front6 {
	union address6 address;
	u16 port;
	u8 protocol;
	u8 scope;
};

struct service {
	u32 first, count;	/* slots of backends */
	u32 affinity;		/* jiffies; 0: none */
	u32 id;
	u32 flags;		/* enum service_flag */
};

struct backend4 {
	u32 address;
	u16 port;
	u16 pad;
};

struct backend6 {
	union address6 address;
	u16 port;
	u16 pad;
};

struct client4 {
	u32 address;
	u32 service;
};

struct client6 {
	union address6 address;
	u32 service;
};

/* Which backend a client keeps. */
struct kept4 {
	u64 since;		/* jiffies: its last new flow */
	struct backend4 backend;
};

struct kept6 {
	u64 since;
	struct backend6 backend;
	u32 pad;
};

BPF_HASH(services4, struct front4, struct service, 65536);
BPF_HASH(services6, struct front6, struct service, 65536);
BPF_ARRAY(backends4, struct backend4, 131072);
BPF_ARRAY(backends6, struct backend6, 131072);
BPF_TABLE("lru_hash", struct client4, struct kept4, kept4, 16384);
BPF_TABLE("lru_hash", struct client6, struct kept6, kept6, 16384);
BPF_F_TABLE("lpm_trie", struct prefix4, u32, service_networks4, 256, BPF_F_NO_PREALLOC);
BPF_F_TABLE("lpm_trie", struct prefix6, u32, service_networks6, 256, BPF_F_NO_PREALLOC);

#ifdef MAGLEV
/* Every node chooses alike: by what is asked and by whom, mixed as Murmur3 does at its end. */
static __always_inline u32 mixed(u32 hash, u32 word)
{
	hash = (hash ^ word) * 0x85ebca6b;
	hash = (hash ^ (hash >> 13)) * 0xc2b2ae35;
	return hash ^ (hash >> 16);
}

static __always_inline u32 choice4(const struct tuple4 *asked)
{
	u32 hash = mixed(asked->src, asked->dst);

	return mixed(hash, asked->sport | (u32)asked->dport << 16) ^ asked->protocol;
}

static __always_inline u32 choice6(const struct tuple6 *asked)
{
	u32 hash = asked->protocol;

	for (int i = 0; i < 4; i++)
		hash = mixed(mixed(hash, asked->src.words[i]), asked->dst.words[i]);
	return mixed(hash, asked->sport | (u32)asked->dport << 16);
}
#else
static __always_inline u32 choice4(const struct tuple4 *asked)
{
	return bpf_get_prandom_u32();
}

static __always_inline u32 choice6(const struct tuple6 *asked)
{
	return bpf_get_prandom_u32();
}
#endif

/* EACH FAMILY */
static __always_inline bool same_tuple4(const struct tuple4 *a, const struct tuple4 *b)
{
	return same_address4(&a->src, &b->src) && same_address4(&a->dst, &b->dst) &&
	       a->sport == b->sport && a->dport == b->dport && a->protocol == b->protocol &&
	       a->hook == b->hook;
}

/* The front that a packet asks, if it is one. Of a NodePort any address of the node is. */
static __always_inline struct service *front4(const struct tuple4 *asked, u8 scope)
{
	struct front4 key = { asked->dst, asked->dport, asked->protocol, scope };
	struct service *found = services4.lookup(&key);
	u16 port = bpf_ntohs(asked->dport);
	struct endpoint *target;

	if (found || port < NODE_PORTS_FIRST || port > NODE_PORTS_LAST)
		return found;
	target = endpoints4.lookup((address4 *)&asked->dst);
	if (!target || !(target->flags & ENDPOINT_HOST))
		return NULL;
	__builtin_memset(&key.address, 0, sizeof(key.address));
	return services4.lookup(&key);
}

/* What kind of address the agent says it is; 0: none of those that it knows. */
static __always_inline u32 kind_of4(const address4 *address)
{
	struct prefix4 host = { 8 * sizeof(*address), *address };
	u32 *kind = service_networks4.lookup(&host);

	return kind ? *kind : 0;
}

/* The backend for a new flow: the client's of before, if it is to keep it, or any. */
static __always_inline bool choose4(const struct service *service, const struct tuple4 *asked,
				     u64 now, struct backend4 *chosen)
{
	struct client4 client = { asked->src, service->id };
	struct backend4 *found;
	struct kept4 kept = {}, *before;
	u32 slot;

	if (!service->count)
		return false;
	before = service->affinity ? kept4.lookup(&client) : NULL;
	if (before && now - before->since < service->affinity) {
		*chosen = before->backend;
	} else {
		slot = service->first + choice4(asked) % service->count;
		found = backends4.lookup(&slot);
		if (!found)
			return false;
		*chosen = *found;
	}
	if (service->affinity) {
		kept.backend = *chosen;
		kept.since = now;
		kept4.update(&client, &kept);
	}
	return true;
}

/*
 * Give a new flow that asks a service its way back, as the backend will answer, but for the port
 * of who asks: see claim4(). 0; NO_SERVICE; NO_BACKEND; or REFUSED().
 */
static __always_inline int serve4(const struct tuple4 *asked, u32 program, u64 now,
				  struct tuple4 *back)
{
	bool off_wire = program == PROGRAM_FROM_NETDEV;
	u8 scope = off_wire && kind_of4(&asked->src) != NETWORK_PODS;
	struct service *service = front4(asked, scope);
	struct backend4 chosen = {};
	struct node_config *node;
	struct endpoint *target;
	u32 zero = 0;

	if (!service)
		return kind_of4(&asked->dst) == NETWORK_SERVICES ? NO_BACKEND : NO_SERVICE;
	node = config.lookup(&zero);
	if (!node || !choose4(service, asked, now, &chosen))
		return service->flags & SERVICE_SILENT ? REFUSED(DROP_NO_BACKEND) : NO_BACKEND;
	back->src = chosen.address;
	back->sport = chosen.port;
	target = endpoints4.lookup(&chosen.address);
	if (!target) {
		back->hook = FLOW_WIRE;
		if (off_wire || service->flags & SERVICE_MASQUERADE)
			back->dst = node->node4;	/* its reply must come back this way */
	} else if (target->flags) {
		back->hook = FLOW_NODE;
	} else {
		back->hook = FLOW_LOCAL;
		if (same_address4(&chosen.address, &asked->src))
			back->dst = node->gateway4;	/* no pod answers its own address */
	}
	return 0;
}

/* Whether a flow's packets change on their way. */
static __always_inline bool translates4(const struct tuple4 *key, const struct tuple4 *back)
{
	return !same_address4(&key->src, &back->dst) || !same_address4(&key->dst, &back->src) ||
	       key->sport != back->dport || key->dport != back->sport;
}

/*
 * Make a new flow's way back its own: who asks keeps its port if it keeps its address, or if the
 * port is none of the node's sockets'; else it gets another that no flow to that backend has.
 */
static __always_inline bool claim4(const struct tuple4 *key, struct tuple4 *back,
				   const struct flow_config *flows, u64 now)
{
	struct flow4 *there, fresh = {};
	u32 port = bpf_ntohs(back->dport), start = bpf_get_prandom_u32(), i;
	bool keeps = same_address4(&key->src, &back->dst) || back->hook != FLOW_WIRE ||
		     port - flows->nat_first < flows->nat_ports;

	if (!flows->nat_ports)
		return false;
	fresh.partner = *key;
	fresh.state.reply = 1;
	fresh.state.expires = now + flows->renewal;
	fresh.state.quiet = now;
#pragma clang loop unroll(disable)
	for (i = 0; i < PORT_TRIES; i++) {
		if (i || !keeps)
			back->dport = bpf_htons(flows->nat_first + (start + i) % flows->nat_ports);
		fresh.state.translated = translates4(key, back);
		there = flows4.lookup(back);
		if (there && now < there->state.expires && !same_tuple4(&there->partner, key))
			continue;
		if (there)
			flows4.delete(back);
		if (!flows4.insert(back, &fresh))
			break;
	}
	if (i == PORT_TRIES)
		return false;
	fresh.partner = *back;
	fresh.state.reply = 0;
	if (!flows4.insert((struct tuple4 *)key, &fresh))
		return true;
	/* The same flow began on another CPU meanwhile. */
	flows4.delete(back);
	there = flows4.lookup((struct tuple4 *)key);
	if (there)
		*back = there->partner;
	return there;
}

/* From now on the packet is what it will become; it is written last (translate.c). */
static __always_inline void become4(struct packet *pkt, const struct tuple4 *partner)
{
	pkt->src4 = partner->dst;
	pkt->dst4 = partner->src;
	pkt->sport = partner->dport;
	pkt->dport = partner->sport;
	pkt->l4_protocol = partner->protocol;
	pkt->translated = TRANSLATED_ENDS;
}

/* An ICMP error goes to the sender of what it quotes; its own source, if it is the other end. */
static __always_inline void become_error4(struct packet *pkt, const struct tuple4 *key,
					  const struct tuple4 *partner)
{
	if (same_address4(&pkt->src4, &key->src))
		pkt->src4 = partner->dst;
	pkt->dst4 = partner->src;
	pkt->translated = TRANSLATED_ERROR;
}

/* END OF EACH FAMILY */

#endif
