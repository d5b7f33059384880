/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The end of from_container and from_netdev: what their stages returned becomes an action of tc. */

/* What found no way on is answered; any other action stands. */
static __always_inline int answered(struct __sk_buff *skb, struct packet *pkt, u32 program,
				    int action)
{
	struct complaint about = TIME_EXCEEDED;

#ifdef SERVICES
	if (action == UP_THE_STACK)
		return translate(skb, pkt) ? drop(program, DROP_REWRITE) : to_stack(program);
	if (action == NO_BACKEND) {
		count_reason(DROP_NO_BACKEND);
		about = PORT_UNREACHABLE;
		action = TTL_EXPIRED;
	} else if (action == TOO_BIG) {
		about = TELL_MTU(pkt->mtu);
		action = TTL_EXPIRED;
	}
#endif
	return action == TTL_EXPIRED ? complain(skb, pkt, program, about) : action;
}
