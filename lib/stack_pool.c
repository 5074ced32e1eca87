/*
 * Stacks for fibers.
 *
 * A chunk is address space cut into slots: a guard page, then the stack, whose owner's record lies
 * at its high end, where the first touch commits a page anyway. A slot is fresh until its first
 * use; then it is in use, warm (free, in a list through the records) or cold (free, its memory
 * given back, a bit in a map). Each chunk doubles what is reserved, so there are few of them, and
 * they never move: a signal handler can look through them.
 */
#include "lib/stack_pool.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "lib/alloc.h"
#include "lib/macro.h"
#include "lib/stack_pool_internal.h"
#include "lib/stack_pool_tools.h"

#define CHUNKS      40
#define FIRST_CHUNK 1024 /* stacks */
#define LEAST_CHUNK 16
#define LEAST_PAGES 2
#define USED_LINES  8
#define WORD        64 /* slots per word of a map */

struct chunk {
	char *memory;
	uint64_t *cold; /* a bit per slot */
	size_t slots;
	size_t fresh;   /* the first slot that was never used */
	size_t guarded; /* the slots below have a guard page; the others a canary */
	size_t cold_count;
	size_t cold_word; /* no word of the map below has a bit */
};

struct qs_stack_pool {
	size_t slot_size, stack_size, keep;
	bool measure;
	struct qs_stack *warm;
	struct stack_guards guards;
	struct qs_stack_pool_stats stats;
	_Atomic size_t chunk_count;
	struct chunk chunks[CHUNKS];
};

int qs_stack_pool_new(struct qs_stack_pool **ret_pool, const struct qs_stack_pool_options *options)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t size = options->stack_size ? options->stack_size : QS_STACK_SIZE;
	struct qs_stack_pool *pool;

	if (size > SIZE_MAX / 4 / FIRST_CHUNK)
		return -EINVAL;
	pool = qs_calloc(1, sizeof(*pool));
	if (!pool)
		return -ENOMEM;
	pool->stack_size = MAX((size + page - 1) / page, (size_t)LEAST_PAGES) * page;
	pool->slot_size = pool->stack_size + page;
	pool->keep = options->keep ? options->keep : QS_STACK_POOL_KEEP;
	pool->measure = options->measure;
	stack_guards_init(&pool->guards, options->guard, page);
	*ret_pool = pool;
	return 0;
}

void qs_stack_pool_free(struct qs_stack_pool *pool)
{
	if (!pool)
		return;
	while (pool->chunk_count > 0) {
		struct chunk *chunk = &pool->chunks[--pool->chunk_count];

		tools_region_gone(chunk->memory, chunk->slots * pool->slot_size);
		(void)munmap(chunk->memory, chunk->slots * pool->slot_size);
		qs_free(chunk->cold);
	}
	qs_free(pool);
}

/* As many slots as asked for, or fewer where address space is limited. */
static int reserve(struct chunk *chunk, size_t slots, size_t slot_size)
{
	void *memory;

	for (;; slots /= 2) {
		if (slots < LEAST_CHUNK)
			return -ENOMEM;
		memory = qs_refused(ENOMEM)
		                 ? MAP_FAILED
		                 : mmap(NULL, slots * slot_size, PROT_READ | PROT_WRITE,
		                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK,
		                           -1, 0);
		if (memory != MAP_FAILED)
			break;
	}
	*chunk = (struct chunk){ .memory = memory, .slots = slots };
	chunk->cold = qs_calloc((slots + WORD - 1) / WORD, sizeof(*chunk->cold));
	if (!chunk->cold) {
		(void)munmap(memory, slots * slot_size);
		return -ENOMEM;
	}
	/* A huge page would commit 2 MiB for the top of one stack. */
	(void)madvise(memory, slots * slot_size, MADV_NOHUGEPAGE);
	return 0;
}

/* The last chunk, one with a fresh slot. */
static int chunk_with_room(struct qs_stack_pool *pool, struct chunk **ret_chunk)
{
	size_t count = pool->chunk_count, slots = FIRST_CHUNK;
	struct chunk *chunk = &pool->chunks[count];
	int r;

	if (count > 0 && chunk[-1].fresh < chunk[-1].slots) {
		*ret_chunk = chunk - 1;
		return 0;
	}
	if (count == CHUNKS)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		slots = MAX(slots, 2 * pool->chunks[i].slots);
	r = reserve(chunk, slots, pool->slot_size);
	if (r < 0)
		return r;
	tools_region_new(chunk->memory, chunk->slots * pool->slot_size);
	atomic_store_explicit(&pool->chunk_count, count + 1, memory_order_release);
	*ret_chunk = chunk;
	return 0;
}

static struct qs_stack *record(
        const struct qs_stack_pool *pool, const struct chunk *chunk, size_t slot)
{
	return (struct qs_stack *)(chunk->memory + (slot + 1) * pool->slot_size) - 1;
}

/* Writes the record of a slot that has no memory yet. */
static struct qs_stack *commit(struct qs_stack_pool *pool, struct chunk *chunk, size_t slot)
{
	struct qs_stack *stack = record(pool, chunk, slot);
	char *base = chunk->memory + slot * pool->slot_size + pool->guards.page;

	tools_record_new(stack, sizeof(*stack));
	*stack = (struct qs_stack){ .base = base };
	if (slot >= chunk->guarded)
		stack->canary = (const uint64_t *)base - QS_STACK_CANARY;
	return stack;
}

/* Once a pool has grown, it prepares a few more slots at a time than it needs: far fewer than it
 * has. */
static void prepare(struct qs_stack_pool *pool, struct chunk *chunk)
{
	size_t used = pool->stats.guarded + pool->stats.canaried;
	size_t count = MIN(MIN(used / 8 + 1, (size_t)STACK_BATCH), chunk->slots - chunk->fresh);
	char *slots = chunk->memory + chunk->fresh * pool->slot_size;

	count = stack_guards_install(&pool->guards, slots, pool->slot_size, count);
	stack_populate(&pool->guards, slots, pool->slot_size, count);
	chunk->guarded += count;
}

static int take_fresh(struct qs_stack_pool *pool, struct qs_stack **ret_stack)
{
	struct chunk *chunk;
	int r = chunk_with_room(pool, &chunk);

	if (r < 0)
		return r;
	if (chunk->fresh == chunk->guarded)
		prepare(pool, chunk);
	if (chunk->fresh < chunk->guarded)
		pool->stats.guarded++;
	else
		pool->stats.canaried++;
	*ret_stack = commit(pool, chunk, chunk->fresh++);
	return 0;
}

static struct qs_stack *take_cold(struct qs_stack_pool *pool)
{
	struct chunk *chunk = pool->chunks;
	unsigned int bit;

	while (chunk->cold_count == 0)
		chunk++;
	while (chunk->cold[chunk->cold_word] == 0)
		chunk->cold_word++;
	bit = (unsigned int)__builtin_ctzll(chunk->cold[chunk->cold_word]);
	chunk->cold[chunk->cold_word] &= ~(UINT64_C(1) << bit);
	chunk->cold_count--;
	pool->stats.cold--;
	return commit(pool, chunk, chunk->cold_word * WORD + bit);
}

int qs_stack_pool_get(struct qs_stack_pool *pool, struct qs_stack **ret_stack)
{
	struct qs_stack *stack = pool->warm;
	int r;

	if (stack) {
		pool->warm = stack->next;
		pool->stats.pooled--;
		/* The next one will be wanted soon, with what its user puts below. */
		if (pool->warm)
			PREFETCH_LINES((const char *)(pool->warm + 1) - USED_LINES * CACHE_LINE,
			        USED_LINES);
	} else if (pool->stats.cold > 0) {
		stack = take_cold(pool);
	} else {
		r = take_fresh(pool, &stack);
		if (r < 0)
			return r;
	}
	stack->in_use = true;
	pool->stats.in_use++;
	*ret_stack = stack;
	return 0;
}

/* The chunk of an address, NULL if it is in none. The newest ones hold the most. */
static struct chunk *chunk_of(const struct qs_stack_pool *pool, const void *address)
{
	size_t i = atomic_load_explicit(&pool->chunk_count, memory_order_acquire);

	while (i-- > 0) {
		const struct chunk *chunk = &pool->chunks[i];

		if ((uintptr_t)address - (uintptr_t)chunk->memory < chunk->slots * pool->slot_size)
			return (struct chunk *)(uintptr_t)chunk;
	}
	return NULL;
}

static int by_address(const void *a, const void *b)
{
	uintptr_t one = *(const uintptr_t *)a, other = *(const uintptr_t *)b;

	return (one > other) - (one < other);
}

static void mark_cold(struct qs_stack_pool *pool, const struct qs_stack *stack)
{
	struct chunk *chunk = chunk_of(pool, stack);
	size_t slot = (size_t)((const char *)stack - chunk->memory) / pool->slot_size;

	chunk->cold[slot / WORD] |= UINT64_C(1) << slot % WORD;
	chunk->cold_word = MIN(chunk->cold_word, slot / WORD);
	chunk->cold_count++;
}

/* Stacks that end together mostly lie together: one call gives back the memory of neighbours. */
static void cool(struct qs_stack_pool *pool, size_t count)
{
	struct qs_stack *batch[STACK_BATCH];
	size_t begin = 0;

	for (size_t i = 0; i < count; i++) {
		batch[i] = pool->warm;
		pool->warm = batch[i]->next;
		mark_cold(pool, batch[i]);
	}
	qsort(batch, count, sizeof(batch[0]), by_address);
	for (size_t i = 1; i <= count; i++) {
		char *end = (char *)(batch[i - 1] + 1);

		if (i < count && (char *)(batch[i] + 1) == end + pool->slot_size)
			continue;
		(void)madvise(end - (i - begin) * pool->slot_size, (i - begin) * pool->slot_size,
		        MADV_DONTNEED);
		begin = i;
	}
	pool->stats.pooled -= count;
	pool->stats.cold += count;
}

/* Afterwards only the top page is committed, so that the next one to use it is measured alone. */
static void measure(struct qs_stack_pool *pool, struct qs_stack *stack)
{
	size_t depth = qs_stack_pool_depth(pool, stack);

	pool->stats.deepest = MAX(pool->stats.deepest, depth);
	if (depth > pool->guards.page)
		(void)madvise(stack->base, pool->stack_size - pool->guards.page, MADV_DONTNEED);
}

void qs_stack_pool_put(struct qs_stack_pool *pool, struct qs_stack *stack)
{
	if (pool->measure)
		measure(pool, stack);
	stack->in_use = false;
	stack->next = pool->warm;
	pool->warm = stack;
	pool->stats.in_use--;
	pool->stats.pooled++;
	if (pool->stats.pooled >= pool->keep + STACK_BATCH)
		cool(pool, STACK_BATCH);
}

void qs_stack_pool_trim(struct qs_stack_pool *pool, size_t keep)
{
	while (pool->stats.pooled > keep)
		cool(pool, MIN(pool->stats.pooled - keep, (size_t)STACK_BATCH));
}

const struct qs_stack *qs_stack_pool_find(const struct qs_stack_pool *pool, const void *address)
{
	const struct chunk *chunk = chunk_of(pool, address);
	const struct qs_stack *stack;
	size_t slot;

	if (!chunk)
		return NULL;
	slot = (size_t)((const char *)address - chunk->memory) / pool->slot_size;
	if (slot >= chunk->fresh)
		return NULL;
	stack = record(pool, chunk, slot);
	return stack->in_use ? stack : NULL;
}

size_t qs_stack_pool_depth(const struct qs_stack_pool *pool, const struct qs_stack *stack)
{
	unsigned char resident[256];
	size_t pages = pool->stack_size / pool->guards.page;

	for (size_t first = 0; first < pages; first += sizeof(resident)) {
		size_t count = MIN(pages - first, sizeof(resident));

		if (mincore(stack->base + first * pool->guards.page, count * pool->guards.page,
		            resident) < 0)
			break;
		for (size_t i = 0; i < count; i++)
			if (resident[i] & 1)
				return (pages - first - i) * pool->guards.page;
	}
	return pool->guards.page;
}

void qs_stack_pool_stats(const struct qs_stack_pool *pool, struct qs_stack_pool_stats *ret_stats)
{
	*ret_stats = pool->stats;
	ret_stats->guard = pool->guards.kind;
}
