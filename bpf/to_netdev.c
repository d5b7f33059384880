/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * tc egress of the NIC: what leaves over the wire. Stages: [masquerade.c], replies of the node's
 * own processes for services (reply.c; where a node asks for them). Without them it counts.
 */

int to_netdev(struct __sk_buff *skb)
{
#ifdef SERVICES
	struct packet pkt = {};
	int failed = 0;

	if (skb->protocol == bpf_htons(ETH_P_IP) && read_packet4(skb, &pkt))
		failed = turn_back4(skb, &pkt);
	else if (skb->protocol == bpf_htons(ETH_P_IPV6) && read_packet6(skb, &pkt))
		failed = turn_back6(skb, &pkt);
	if (failed)
		return drop(PROGRAM_TO_NETDEV, DROP_REWRITE);
#endif
	count_hit(PROGRAM_TO_NETDEV, VERDICT_PASS);
	return TC_ACT_OK;
}
