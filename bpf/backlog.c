/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Raw tracepoint net:netif_rx: count the packets one thread puts on a CPU's backlog. */

BPF_ARRAY(thread, u32, 1);
BPF_PERCPU_ARRAY(enqueues, u64, 1);

int count_enqueue(struct bpf_raw_tracepoint_args *ctx)
{
	u32 zero = 0, *wanted = thread.lookup(&zero);
	u64 *count = enqueues.lookup(&zero);

	if (wanted && count && (u32)bpf_get_current_pid_tgid() == *wanted)
		*count += 1;
	return 0;
}
