/* The configuration once it is read: names of its words, comparison, and its end. */
#include <stdlib.h>
#include <string.h>

#include "daemon/config_internal.h"

const char *when_name(enum when when)
{
	return when_words[when];
}

const char *restart_name(enum restart restart)
{
	return restart_words[restart];
}

void strings_free(char **strings)
{
	for (char **string = strings; string && *string; string++)
		free(*string);
	free(strings);
}

void strings_freep(char ***strings)
{
	strings_free(*strings);
}

void worker_config_done(struct worker_config *worker)
{
	free(worker->name);
	strings_free(worker->exec);
	free(worker->module_path);
	free(worker->module_config);
	strings_free(worker->after);
	strings_free(worker->environment);
	free(worker->stop_success);
	free(worker->working_directory);
	http_config_done(&worker->http);
	call_config_done(&worker->call);
	*worker = (struct worker_config){ 0 };
}

void config_free(struct config *config)
{
	if (!config)
		return;
	for (size_t i = 0; i < config->worker_count; i++)
		worker_config_done(&config->workers[i]);
	free(config->workers);
	free(config->control_socket);
	free(config->control_group);
	free(config->state_directory);
	while (config->files) {
		struct config_file *next = config->files->next;
		free(config->files);
		config->files = next;
	}
	free(config);
}

void config_errors_done(struct config_errors *errors)
{
	free(errors->text);
	free(errors->warnings);
	*errors = (struct config_errors){ 0 };
}

bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

bool same_strings(char *const *a, char *const *b)
{
	if (!a || !b)
		return a == b;
	for (; *a && *b; a++, b++)
		if (strcmp(*a, *b) != 0)
			return false;
	return !*a && !*b;
}

/* How it is told to stop was handed to the process when it started. */
static bool same_stop(const struct worker_config *a, const struct worker_config *b)
{
	return a->stop_signal == b->stop_signal && a->cancel_signal == b->cancel_signal &&
	       a->stop_success_count == b->stop_success_count &&
	       (a->stop_success_count == 0 ||
	               memcmp(a->stop_success, b->stop_success,
	                       a->stop_success_count * sizeof(*a->stop_success)) == 0);
}

static bool same_limits(const struct qs_process_limits *a, const struct qs_process_limits *b)
{
	return a->memory == b->memory && a->pids == b->pids && a->open_files == b->open_files;
}

bool worker_config_same_run(const struct worker_config *a, const struct worker_config *b)
{
	return a->when == b->when && a->every == b->every && same_strings(a->exec, b->exec) &&
	       same_text(a->module_path, b->module_path) &&
	       same_text(a->module_config, b->module_config) &&
	       same_strings(a->environment, b->environment) &&
	       same_text(a->working_directory, b->working_directory) && a->umask == b->umask &&
	       same_limits(&a->limits, &b->limits) && a->heartbeat == b->heartbeat &&
	       a->ready_notify == b->ready_notify && a->ready_timeout == b->ready_timeout &&
	       same_stop(a, b) && http_config_same(&a->http, &b->http) &&
	       call_config_same(&a->call, &b->call);
}
