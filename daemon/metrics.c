/* The metrics: one pass over the workers for each family, because a family's lines stand together.
 */
#include "daemon/metrics.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "daemon/callee.h"
#include "daemon/control.h"
#include "daemon/daemon.h"
#include "daemon/http_poll.h"

static void begin_family(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP quiesced_%s %s\n# TYPE quiesced_%s %s\n", name, help, name, type);
}

static void write_label(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '\n')
			fputs("\\n", out);
		else if (*text == '"' || *text == '\\')
			fprintf(out, "\\%c", *text);
		else
			fputc(*text, out);
	}
}

static void write_number(
        FILE *out, const char *name, const char *type, const char *help, uint64_t value)
{
	begin_family(out, name, type, help);
	fprintf(out, "quiesced_%s %" PRIu64 "\n", name, value);
}

/* quiesced_NAME{worker="W",KEY="TEXT"} VALUE; without KEY when it is NULL. */
static void write_of_worker(FILE *out, const char *name, const char *worker, const char *key,
        const char *text, uint64_t value)
{
	fprintf(out, "quiesced_%s{worker=\"", name);
	write_label(out, worker);
	if (key)
		fprintf(out, "\",%s=\"%s", key, text);
	fprintf(out, "\"} %" PRIu64 "\n", value);
}

static void write_daemon(const struct daemon *daemon, FILE *out)
{
	uint64_t started_usec = qs_clock_wall_usec_of(daemon->started_at);
	enum qs_phase phase = qs_coordinator_phase(&daemon->coordinator);

	begin_family(out, "build_info", "gauge", "The version that runs; always 1.");
	fprintf(out, "quiesced_build_info{version=\"%s\"} 1\n", QUIESCE_VERSION);
	begin_family(out, "start_time_seconds", "gauge", "When the daemon started, since 1970.");
	fprintf(out, "quiesced_start_time_seconds %" PRIu64 ".%03u\n", started_usec / 1000000,
	        (unsigned)(started_usec / 1000 % 1000));
	begin_family(out, "phase", "gauge", "1 for the phase that the shutdown is in.");
	for (unsigned i = 0; i < QS_PHASE_COUNT; i++)
		fprintf(out, "quiesced_phase{phase=\"%s\"} %d\n", qs_phase_name((enum qs_phase)i),
		        (enum qs_phase)i == phase);
	write_number(out, "ready", "gauge", "Whether every essential worker is ready.",
	        daemon_is_ready(daemon));
	write_number(
	        out, "tasks_live", "gauge", "Tasks that live.", qs_ledger_live(daemon->ledger));
	write_number(out, "control_connections", "gauge", "Open connections to the control socket.",
	        control_connections(daemon->control));
	write_number(out, "control_requests_total", "counter", "Requests to the control socket.",
	        control_requests(daemon->control));
}

static void write_states(const struct daemon *daemon, FILE *out)
{
	begin_family(out, "worker_state", "gauge", "1 for the state that a worker is in.");
	list_for_each (node, &daemon->fleet.workers) {
		const struct worker *worker = list_entry(node, struct worker, node);

		for (unsigned i = 0; i < WORKER_STATE_COUNT; i++)
			write_of_worker(out, "worker_state", worker->config->name, "state",
			        worker_state_name((enum worker_state)i),
			        (enum worker_state)i == worker->state);
	}
}

static void write_counts_of_workers(const struct daemon *daemon, FILE *out)
{
	begin_family(out, "worker_restarts_total", "counter", "Restarts by policy.");
	list_for_each (node, &daemon->fleet.workers) {
		const struct worker *worker = list_entry(node, struct worker, node);

		write_of_worker(out, "worker_restarts_total", worker->config->name, NULL, NULL,
		        worker->restarts);
	}
	begin_family(out, "worker_skipped_total", "counter",
	        "Slots that found the run before still going.");
	list_for_each (node, &daemon->fleet.workers) {
		const struct worker *worker = list_entry(node, struct worker, node);

		write_of_worker(out, "worker_skipped_total", worker->config->name, NULL, NULL,
		        worker->skipped);
	}
}

static void write_polls(const struct daemon *daemon, FILE *out)
{
	begin_family(out, "http_requests_total", "counter", "Runs of polls, by outcome.");
	list_for_each (node, &daemon->fleet.workers) {
		const struct worker *worker = list_entry(node, struct worker, node);

		for (unsigned i = 0; worker->poll && i < POLL_OUTCOME_COUNT; i++)
			write_of_worker(out, "http_requests_total", worker->config->name, "outcome",
			        poll_outcome_name((enum poll_outcome)i), worker->poll->outcomes[i]);
	}
	begin_family(out, "http_request_seconds", "summary", "How long answers took.");
	list_for_each (node, &daemon->fleet.workers) {
		const struct worker *worker = list_entry(node, struct worker, node);

		if (!worker->poll)
			continue;
		fputs("quiesced_http_request_seconds_sum{worker=\"", out);
		write_label(out, worker->config->name);
		fprintf(out, "\"} %" PRIu64 ".%06u\n", worker->poll->latency / QS_SEC,
		        (unsigned)(worker->poll->latency % QS_SEC / QS_USEC));
		write_of_worker(out, "http_request_seconds_count", worker->config->name, NULL, NULL,
		        worker->poll->answers);
	}
}

/* A family of one number of each worker that is called. */
static void write_call_family(const struct daemon *daemon, FILE *out, const char *name,
        const char *type, const char *help, uint64_t (*value_of)(const struct call_counts *))
{
	begin_family(out, name, type, help);
	list_for_each (node, &daemon->fleet.workers) {
		const struct worker *worker = list_entry(node, struct worker, node);
		struct call_counts counts;

		if (worker->config->when != WHEN_CALL)
			continue;
		callee_count(worker, &counts);
		write_of_worker(out, name, worker->config->name, NULL, NULL, value_of(&counts));
	}
}

static uint64_t waiting_of(const struct call_counts *counts)
{
	return counts->waiting;
}

static uint64_t in_flight_of(const struct call_counts *counts)
{
	return counts->in_flight;
}

static uint64_t backing_off_of(const struct call_counts *counts)
{
	return counts->backing_off;
}

static uint64_t requests_of(const struct call_counts *counts)
{
	return counts->requests;
}

static uint64_t retries_of(const struct call_counts *counts)
{
	return counts->retries;
}

static uint64_t hits_of(const struct call_counts *counts)
{
	return counts->hits;
}

static uint64_t shared_of(const struct call_counts *counts)
{
	return counts->shared;
}

static void write_calls(const struct daemon *daemon, FILE *out)
{
	write_call_family(daemon, out, "worker_calls_waiting", "gauge",
	        "Calls that wait for their turn.", waiting_of);
	write_call_family(daemon, out, "worker_calls_in_flight", "gauge",
	        "Calls whose request is under way.", in_flight_of);
	write_call_family(daemon, out, "worker_calls_backing_off", "gauge",
	        "Calls that wait for another attempt.", backing_off_of);
	write_call_family(daemon, out, "worker_call_requests_total", "counter",
	        "Requests that calls have made.", requests_of);
	write_call_family(daemon, out, "worker_call_retries_total", "counter",
	        "Requests that were another attempt.", retries_of);
	write_call_family(daemon, out, "worker_call_cache_hits_total", "counter",
	        "Calls that were answered from the cache.", hits_of);
	write_call_family(daemon, out, "worker_call_shared_total", "counter",
	        "Calls that shared the request of another.", shared_of);
	begin_family(out, "worker_calls_total", "counter", "Calls that are over, by outcome.");
	list_for_each (node, &daemon->fleet.workers) {
		const struct worker *worker = list_entry(node, struct worker, node);

		for (unsigned i = 0; worker->config->when == WHEN_CALL && i < CALL_OUTCOME_COUNT;
		        i++)
			write_of_worker(out, "worker_calls_total", worker->config->name, "outcome",
			        call_outcome_name((enum call_outcome)i), worker->calls.outcomes[i]);
	}
}

/* From the ledger, so that a worker which a reload removed keeps its counts: counters never fall.
 */
static void write_tasks(const struct daemon *daemon, FILE *out)
{
	const struct qs_owner *first = qs_ledger_first_owner(daemon->ledger);

	begin_family(out, "worker_tasks_started_total", "counter", "Tasks that were started.");
	for (const struct qs_owner *owner = first; owner; owner = owner->next)
		write_of_worker(out, "worker_tasks_started_total", owner->name, NULL, NULL,
		        atomic_load_explicit(&owner->started, memory_order_relaxed));
	begin_family(out, "worker_tasks_ended_total", "counter", "Tasks that ended, by verdict.");
	for (const struct qs_owner *owner = first; owner; owner = owner->next)
		for (unsigned i = QS_VERDICT_NONE + 1; i < QS_VERDICT_COUNT; i++)
			write_of_worker(out, "worker_tasks_ended_total", owner->name, "verdict",
			        qs_verdict_name((enum qs_verdict)i),
			        atomic_load_explicit(&owner->ended[i], memory_order_relaxed));
}

int metrics_write(const struct daemon *daemon, char **ret_text, size_t *ret_size)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return -ENOMEM;
	write_daemon(daemon, out);
	write_states(daemon, out);
	write_counts_of_workers(daemon, out);
	write_polls(daemon, out);
	write_calls(daemon, out);
	write_tasks(daemon, out);
	bool failed = ferror(out) != 0;
	if (fclose(out) != 0 || failed) {
		free(text);
		return -ENOMEM;
	}
	*ret_text = text;
	*ret_size = size;
	return 0;
}
