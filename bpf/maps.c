/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Every map of the datapath. Counters are per CPU: no atomics on the fast path. */

BPF_HASH(endpoints4, u32, struct endpoint, 4096);
BPF_HASH(endpoints6, union address6, struct endpoint, 4096);
BPF_HASH(sources, u32, struct source, 4096);
BPF_ARRAY(config, struct node_config, 1);
#ifdef SKIP_FIB
BPF_LPM_TRIE(routes4, struct prefix4, struct route, 4096);
BPF_LPM_TRIE(routes6, struct prefix6, struct route, 4096);
#endif

BPF_PERCPU_ARRAY(hits, u64, PROGRAMS * VERDICTS);
BPF_PERCPU_ARRAY(drops, u64, DROP_REASONS);
BPF_PERCPU_ARRAY(fib_results, u64, FIB_RESULTS);

/* Which next hop of a slot was last sent to through the neighbour layer, and when, in jiffies. */
struct neighbour_use {
	u64 jiffies;
	u32 nexthop;
	u32 pad;
};
BPF_PERCPU_ARRAY(neighbour_used, struct neighbour_use, 256);

/* How many ICMP errors were sent in the present window of jiffies. */
struct error_budget {
	u64 window;
	u64 sent;
};
BPF_PERCPU_ARRAY(error_budgets, struct error_budget, 1);
