/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The redirect helpers called as the test says, right or wrong, and what they returned.
 * TC_ACT_REDIRECT (7) only says that a redirect was asked for: whether the device
 * exists, is up and has a peer is looked at later, in skb_do_redirect().
 */

#define CALL_PEER	0
#define CALL_NEIGH	1

struct call {
	u32 helper;
	u32 ifindex;
	u64 flags;
};

BPF_ARRAY(wanted, struct call, 1);
BPF_PERCPU_ARRAY(returned, u64, 8);

int call_helper(struct __sk_buff *skb)
{
	u32 zero = 0, result;
	struct call *call = wanted.lookup(&zero);
	u64 *count;

	if (!call || skb->protocol == bpf_htons(ETH_P_ARP))
		return TC_ACT_UNSPEC;	/* the next program decides */
	if (call->helper == CALL_PEER)
		result = redirect_peer(call->ifindex, call->flags);
	else
		result = redirect_neigh(call->ifindex, NULL, 0, call->flags);
	count = returned.lookup(&result);
	if (count)
		*count += 1;
	return result;
}
