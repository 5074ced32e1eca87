/*
 * The ledger's records live in chunks, each twice as large as the one before: a small daemon pays
 * for 64 records, a large one for a million, and a record's place follows from its index.
 *
 * How another thread reads a record that may be changing hands: `id` is published last when a
 * record is opened and withdrawn first when its slot is given back. Whoever reads the same id
 * before and after has read that task. No fence is used: the fields are stored with release and
 * loaded with acquire, so that seeing a new field implies seeing the withdrawn id.
 *
 * How a verdict stays the only one: it is set by exchange from QS_VERDICT_NONE. When the guard
 * closes the books while the loop turns again, either one or the other decides each task, and only
 * who decided counts it.
 */
#include "lib/ledger.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/utf8.h"

#define FIRST_CHUNK_BITS 6
#define CHUNK_COUNT      26

#define STORE(field, value) atomic_store_explicit(field, value, memory_order_release)
#define LOAD(field)         atomic_load_explicit(field, memory_order_acquire)

struct note {
	const struct note *next;
	uint64_t id;
	char text[];
};

struct qs_ledger {
	_Atomic(struct qs_record *) chunks[CHUNK_COUNT];
	_Atomic uint64_t used; /* records below this index have been in use */
	struct qs_record *free;
	_Atomic uint64_t last_id; /* as many as were ever started */
	_Atomic uint64_t ended[QS_VERDICT_COUNT];
	_Atomic bool retains, closed;
	_Atomic(struct qs_owner *) first_owner;
	struct qs_owner *last_owner;
	_Atomic(const struct note *) notes;
	unsigned note_count;
};

static unsigned chunk_of(uint64_t index)
{
	uint64_t place = index + (UINT64_C(1) << FIRST_CHUNK_BITS);

	return 63U - (unsigned)__builtin_clzll(place) - FIRST_CHUNK_BITS;
}

static uint64_t chunk_size(unsigned chunk)
{
	return UINT64_C(1) << (chunk + FIRST_CHUNK_BITS);
}

static uint64_t chunk_start(unsigned chunk)
{
	return chunk_size(chunk) - chunk_size(0);
}

int qs_ledger_new(struct qs_ledger **ret_ledger)
{
	struct qs_ledger *ledger = qs_calloc(1, sizeof(*ledger));

	if (!ledger)
		return -ENOMEM;
	*ret_ledger = ledger;
	return 0;
}

void qs_ledger_free(struct qs_ledger *ledger)
{
	if (!ledger)
		return;
	for (struct qs_owner *owner = ledger->first_owner, *next; owner; owner = next) {
		next = owner->next;
		qs_free(owner->endings);
		qs_free(owner);
	}
	for (const struct note *note = ledger->notes, *next; note; note = next) {
		next = note->next;
		qs_free((void *)note);
	}
	for (unsigned i = 0; i < CHUNK_COUNT; i++)
		qs_free(ledger->chunks[i]);
	qs_free(ledger);
}

static struct qs_owner *find_owner(const struct qs_ledger *ledger, const char *name)
{
	for (struct qs_owner *owner = ledger->first_owner; owner; owner = owner->next)
		if (strcmp(owner->name, name) == 0)
			return owner;
	return NULL;
}

int qs_ledger_owner(struct qs_ledger *ledger, const char *name, struct qs_owner **ret_owner)
{
	size_t length = strlen(name);
	struct qs_owner *owner;

	if (length == 0)
		return -EINVAL;
	if (length >= QS_NAME_MAX)
		return -ENAMETOOLONG;
	owner = find_owner(ledger, name);
	if (!owner) {
		owner = qs_calloc(1, sizeof(*owner));
		if (!owner)
			return -ENOMEM;
		memcpy(owner->name, name, length);
		if (ledger->last_owner)
			ledger->last_owner->next = owner;
		else
			ledger->first_owner = owner;
		ledger->last_owner = owner;
	}
	*ret_owner = owner;
	return 0;
}

struct qs_owner *qs_ledger_first_owner(const struct qs_ledger *ledger)
{
	return ledger->first_owner;
}

/* The first record that was never used; its chunk is made when it is the chunk's first. */
static struct qs_record *fresh_record(struct qs_ledger *ledger)
{
	uint64_t index = atomic_load_explicit(&ledger->used, memory_order_relaxed);
	unsigned chunk = chunk_of(index);
	struct qs_record *records;

	if (chunk >= CHUNK_COUNT)
		return NULL;
	records = ledger->chunks[chunk];
	if (!records) {
		records = qs_calloc(chunk_size(chunk), sizeof(*records));
		if (!records)
			return NULL;
		atomic_store_explicit(&ledger->chunks[chunk], records, memory_order_release);
	}
	atomic_store_explicit(&ledger->used, index + 1, memory_order_release);
	return &records[index - chunk_start(chunk)];
}

/* Who reads it as an outcome meanwhile finds the record's id gone. */
static struct qs_record *next_free(const struct qs_record *record)
{
	return (struct qs_record *)(uintptr_t)LOAD(&record->outcome);
}

static struct qs_record *take_record(struct qs_ledger *ledger)
{
	struct qs_record *record = ledger->free;

	if (!record)
		return fresh_record(ledger);
	ledger->free = next_free(record);
	return record;
}

/* A reader may be copying the name of the slot's last task: word by word, like all other fields. */
typedef uint64_t __attribute__((may_alias)) name_word;

static_assert(offsetof(struct qs_record, name) % sizeof(name_word) == 0 &&
                      QS_TASK_NAME_MAX % sizeof(name_word) == 0,
        "names are whole words");

static void store_name(struct qs_record *record, const char *name)
{
	char padded[QS_TASK_NAME_MAX] __attribute__((aligned(sizeof(name_word)))) = { 0 };
	const name_word *from = (const name_word *)(const void *)padded;
	name_word *to = (name_word *)(void *)record->name;

	if (name)
		memcpy(padded, name, qs_utf8_cut(name, strlen(name), sizeof(padded) - 1));
	for (size_t i = 0; i < QS_TASK_NAME_MAX / sizeof(name_word); i++)
		__atomic_store_n(&to[i], from[i], __ATOMIC_RELEASE);
}

static void load_name(const struct qs_record *record, char name[static QS_TASK_NAME_MAX])
{
	const name_word *from = (const name_word *)(const void *)record->name;

	for (size_t i = 0; i < QS_TASK_NAME_MAX / sizeof(name_word); i++) {
		name_word word = __atomic_load_n(&from[i], __ATOMIC_ACQUIRE);

		memcpy(name + i * sizeof(word), &word, sizeof(word));
	}
}

/* For what is counted by the loop's thread alone: no other one may be held up by it. */
static void count_one(_Atomic uint64_t *count)
{
	uint64_t before = atomic_load_explicit(count, memory_order_relaxed);

	atomic_store_explicit(count, before + 1, memory_order_release);
}

/* Only of abandoned tasks some may be counted by the thread that closes the books. */
static void count_ended(_Atomic uint64_t ended[static QS_VERDICT_COUNT], enum qs_verdict verdict)
{
	if (verdict == QS_VERDICT_ABANDONED)
		atomic_fetch_add_explicit(&ended[verdict], 1, memory_order_relaxed);
	else
		count_one(&ended[verdict]);
}

/* An outcome in one word, so that it is never read by halves. */
static uint64_t pack(struct qs_outcome outcome)
{
	return (uint64_t)outcome.type << 32 | (uint64_t)outcome.core_dumped << 40 |
	       (uint64_t)outcome.out_of_memory << 41 | (uint32_t)outcome.value;
}

static struct qs_outcome unpack(uint64_t word)
{
	return (struct qs_outcome){
		.type = (enum qs_outcome_type)(word >> 32 & 0xff),
		.value = (int)(uint32_t)word,
		.core_dumped = (word >> 40 & 1) != 0,
		.out_of_memory = (word >> 41 & 1) != 0,
	};
}

int qs_ledger_open(struct qs_ledger *ledger, struct qs_owner *owner, enum qs_kind kind,
        const char *name, uint64_t now, struct qs_record **ret_record)
{
	struct qs_record *record;

	if (LOAD(&ledger->closed))
		return -ESHUTDOWN;
	record = take_record(ledger);
	if (!record)
		return -ENOMEM;
	STORE(&record->polled_at, 0);
	STORE(&record->waiting_on, NULL);
	STORE(&record->pid, 0);
	STORE(&record->owner, owner);
	STORE(&record->started_at, now);
	STORE(&record->asked_at, 0);
	STORE(&record->ended_at, 0);
	STORE(&record->outcome, 0);
	STORE(&record->kind, (uint8_t)kind);
	STORE(&record->cause, QS_CAUSE_NONE);
	STORE(&record->rung, QS_RUNG_NONE);
	STORE(&record->verdict, QS_VERDICT_NONE);
	store_name(record, name);
	count_one(&ledger->last_id);
	STORE(&record->id, atomic_load_explicit(&ledger->last_id, memory_order_relaxed));
	if (owner)
		count_one(&owner->started);
	*ret_record = record;
	return 0;
}

uint64_t qs_ledger_peek_id(const struct qs_ledger *ledger)
{
	return atomic_load_explicit(&ledger->last_id, memory_order_relaxed) + 1;
}

/* Of a process the pid is in its place. */
static uint32_t stack_of(const struct qs_record *record)
{
	return LOAD(&record->kind) == QS_KIND_FIBER ? LOAD(&record->stack) : 0;
}

/* Its history is the only thing that an owner loses when there is no memory for it. */
static void keep_ending(struct qs_owner *owner, const struct qs_record *record,
        enum qs_verdict verdict, struct qs_outcome outcome, uint64_t now)
{
	if (!owner->endings)
		owner->endings = qs_calloc(QS_ENDINGS_KEPT, sizeof(*owner->endings));
	if (!owner->endings)
		return;
	owner->endings[owner->endings_count++ % QS_ENDINGS_KEPT] = (struct qs_ending){
		.id = record->id,
		.started_at = record->started_at,
		.asked_at = record->asked_at,
		.ended_at = now,
		.outcome = outcome,
		.stack = stack_of(record),
		.verdict = (uint8_t)verdict,
		.cause = record->cause,
		.rung = record->rung,
	};
}

static bool decide(struct qs_ledger *ledger, struct qs_record *record, enum qs_verdict verdict)
{
	struct qs_owner *owner = LOAD(&record->owner);
	uint8_t none = QS_VERDICT_NONE;

	if (!atomic_compare_exchange_strong(&record->verdict, &none, (uint8_t)verdict))
		return false;
	count_ended(ledger->ended, verdict);
	if (owner)
		count_ended(owner->ended, verdict);
	return true;
}

void qs_ledger_close(struct qs_ledger *ledger, struct qs_record *record, enum qs_verdict verdict,
        struct qs_outcome outcome, uint64_t now)
{
	struct qs_owner *owner = record->owner;
	bool retains = LOAD(&ledger->retains);

	if (LOAD(&record->verdict) != QS_VERDICT_NONE)
		return;
	STORE(&record->outcome, pack(outcome));
	STORE(&record->ended_at, now);
	if (!decide(ledger, record, verdict))
		return;
	if (owner)
		keep_ending(owner, record, verdict, outcome, now);
	if (retains)
		return;
	STORE(&record->id, 0);
	STORE(&record->outcome, (uintptr_t)ledger->free);
	ledger->free = record;
}

void qs_ledger_note(struct qs_ledger *ledger, uint64_t id, const char *text)
{
	size_t size = strlen(text) + 1;
	struct note *note;

	if (!LOAD(&ledger->retains) || ledger->note_count >= QS_NOTES_KEPT)
		return;
	note = qs_malloc(sizeof(*note) + size);
	if (!note)
		return;
	*note = (struct note){ .next = ledger->notes, .id = id };
	memcpy(note->text, text, size);
	ledger->note_count++;
	STORE(&ledger->notes, note);
}

const char *qs_ledger_note_of(const struct qs_ledger *ledger, uint64_t id)
{
	for (const struct note *note = LOAD(&ledger->notes); note; note = note->next)
		if (note->id == id)
			return note->text;
	return NULL;
}

void qs_ledger_retain(struct qs_ledger *ledger)
{
	STORE(&ledger->retains, true);
}

void qs_ledger_close_books(struct qs_ledger *ledger, uint64_t now)
{
	const struct qs_record *found;
	uint64_t cursor = 0;

	qs_ledger_retain(ledger);
	STORE(&ledger->closed, true);
	while ((found = qs_ledger_next(ledger, &cursor)) != NULL) {
		struct qs_record *record = (struct qs_record *)found;

		if (decide(ledger, record, QS_VERDICT_ABANDONED))
			STORE(&record->ended_at, now);
	}
}

uint64_t qs_ledger_ended(const struct qs_ledger *ledger, enum qs_verdict verdict)
{
	return atomic_load_explicit(&ledger->ended[verdict], memory_order_relaxed);
}

uint64_t qs_ledger_live(const struct qs_ledger *ledger)
{
	uint64_t ended = 0;

	for (size_t i = 0; i < QS_VERDICT_COUNT; i++)
		ended += LOAD(&ledger->ended[i]);
	/* Read last: whatever has ended was started before. */
	return LOAD(&ledger->last_id) - ended;
}

const struct qs_record *qs_ledger_next(const struct qs_ledger *ledger, uint64_t *cursor)
{
	uint64_t used = LOAD(&ledger->used);

	while (*cursor < used) {
		uint64_t index = (*cursor)++;
		unsigned chunk = chunk_of(index);
		const struct qs_record *records = LOAD(&ledger->chunks[chunk]);
		const struct qs_record *record = &records[index - chunk_start(chunk)];

		if (LOAD(&record->id) != 0)
			return record;
	}
	return NULL;
}

bool qs_ledger_read(const struct qs_record *record, struct qs_record_copy *ret_copy)
{
	uint64_t id = LOAD(&record->id);
	struct qs_record_copy copy = {
		.id = id,
		.polled_at = LOAD(&record->polled_at),
		.started_at = LOAD(&record->started_at),
		.asked_at = LOAD(&record->asked_at),
		.ended_at = LOAD(&record->ended_at),
		.waiting_on = LOAD(&record->waiting_on),
		.owner = LOAD(&record->owner),
		.pid = LOAD(&record->kind) == QS_KIND_PROCESS ? LOAD(&record->pid) : 0,
		.stack = stack_of(record),
		.kind = LOAD(&record->kind),
		.cause = LOAD(&record->cause),
		.rung = LOAD(&record->rung),
		.verdict = LOAD(&record->verdict),
	};

	if (copy.verdict != QS_VERDICT_NONE)
		copy.outcome = unpack(LOAD(&record->outcome));
	load_name(record, copy.name);
	if (id == 0 || LOAD(&record->id) != id)
		return false;
	*ret_copy = copy;
	return true;
}
