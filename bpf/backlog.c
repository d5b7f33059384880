/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Raw tracepoint net:netif_rx: count the packets that enter each CPU's backlog. */

BPF_PERCPU_ARRAY(enqueues, u64, 1);

int count_enqueue(struct bpf_raw_tracepoint_args *ctx)
{
	u32 zero = 0;
	u64 *count = enqueues.lookup(&zero);

	if (count)
		*count += 1;
	return 0;
}
