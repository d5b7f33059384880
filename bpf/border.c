/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What of a packet's metadata crosses the namespace border: write_metadata before the
 * datapath at the node's lxc, read_metadata at the pod's eth0.
 */

#define GO_ON	-1	/* TC_ACT_UNSPEC: the next program decides */

struct metadata {
	u64 tstamp;
	u32 mark;
	u32 priority;
	u32 pkt_type;
	u32 ingress_ifindex;
	u32 packets;
	u32 padding;
};

BPF_ARRAY(written, struct metadata, 1);
BPF_ARRAY(read, struct metadata, 1);

int write_metadata(struct __sk_buff *skb)
{
	u32 zero = 0;
	struct metadata *wanted = written.lookup(&zero);

	if (wanted) {
		skb->mark = wanted->mark;
		skb->tstamp = wanted->tstamp;
		skb->priority = wanted->priority;
	}
	return GO_ON;
}

int read_metadata(struct __sk_buff *skb)
{
	u32 zero = 0;
	struct metadata *seen = read.lookup(&zero);

	if (seen) {
		seen->mark = skb->mark;
		seen->tstamp = skb->tstamp;
		seen->priority = skb->priority;
		seen->pkt_type = skb->pkt_type;
		seen->ingress_ifindex = skb->ingress_ifindex;
		seen->packets += 1;
	}
	return GO_ON;
}
