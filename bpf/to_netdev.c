/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * tc egress of the NIC: what leaves over the wire. Stages: [masquerade.c],
 * [reverse translation of service replies: service.c]. Until then it counts.
 */

int to_netdev(struct __sk_buff *skb)
{
	count_hit(PROGRAM_TO_NETDEV, VERDICT_PASS);
	return TC_ACT_OK;
}
