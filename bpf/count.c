/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Every packet leaves through one of these: hits by program and verdict, drops by reason. */

/* No TC_ACT_*: the entry answers with time exceeded, in one place for every stage. */
#define TTL_EXPIRED	(-100)
#ifdef SERVICES
#define NO_BACKEND	(-101)	/* answered likewise: port unreachable */
#define TOO_BIG		(-102)	/* frag needed, packet too big */
#define UP_THE_STACK	(-103)	/* as what it becomes: the stack is to fragment or receive it */
#endif

static __always_inline void count_hit(u32 program, u32 verdict)
{
	u32 key = program * VERDICTS + verdict;
	u64 *hit = hits.lookup(&key);

	if (hit)
		*hit += 1;
}

static __always_inline int drop(u32 program, u32 reason)
{
	u64 *count = drops.lookup(&reason);

	if (count)
		*count += 1;
	count_hit(program, VERDICT_DROP);
	return TC_ACT_SHOT;
}

#ifdef SERVICES
/* Why a packet was answered instead of served. */
static __always_inline void count_reason(u32 reason)
{
	u64 *answered = drops.lookup(&reason);

	if (answered)
		*answered += 1;
}
#endif

static __always_inline int to_stack(u32 program)
{
	count_hit(program, VERDICT_STACK);
	return TC_ACT_OK;
}

/* The helper's own refusal is counted; what skb_do_redirect() refuses later is not seen here. */
static __always_inline int redirected(u32 program, u32 verdict, long action)
{
	if (action != TC_ACT_REDIRECT)
		return drop(program, DROP_REDIRECT);
	count_hit(program, verdict);
	return action;
}

static __always_inline void count_fib(long result)
{
	u32 key = result;
	u64 *count;

	if (key >= FIB_ERROR)
		key = FIB_ERROR;
	count = fib_results.lookup(&key);
	if (count)
		*count += 1;
}
