/* Workers of kind `module`: C code of somebody else's, in a host process of its own. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/exec.h"
#include "daemon/fleet.h"
#include "daemon/module.h"

#define HOST_NAME "quiesced-host"

/* Beside the daemon itself, as in a build directory, else where it is installed. */
static const char *find_host(char path[static PATH_MAX])
{
	ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - sizeof("/" HOST_NAME));

	if (length > 0) {
		path[length] = '\0';
		strcpy(strrchr(path, '/') + 1, HOST_NAME);
		if (access(path, X_OK) == 0)
			return path;
	}
	return QUIESCED_HOST;
}

struct host_environment {
	char fd[32], grace[64];
	char *config; /* malloc'ed */
	char **all;   /* malloc'ed; the strings are borrowed */
};

static void host_environment_done(struct host_environment *environment)
{
	free(environment->config);
	free(environment->all);
}

static int make_environment(const struct worker *worker, struct host_environment *environment)
{
	const struct worker_config *config = worker->config;
	const char *text = config->module_config ? config->module_config : "{}";
	size_t count = 0;

	while (config->environment[count])
		count++;
	environment->all = calloc(count + 4, sizeof(*environment->all));
	if (!environment->all ||
	        asprintf(&environment->config, "QUIESCE_MODULE_CONFIG=%s", text) < 0) {
		environment->config = NULL;
		return -ENOMEM;
	}
	snprintf(environment->fd, sizeof(environment->fd), "QUIESCE_HOST_FD=%d", QS_CHILD_EXTRA_FD);
	snprintf(environment->grace, sizeof(environment->grace), "QUIESCE_HOST_GRACE_USEC=%" PRIu64,
	        worker->fleet->config->shutdown.cancel_grace / QS_USEC);
	memcpy(environment->all, config->environment, count * sizeof(*environment->all));
	environment->all[count] = environment->config;
	environment->all[count + 1] = environment->fd;
	environment->all[count + 2] = environment->grace;
	return 0;
}

static int start_host(struct worker *worker, int fd, struct exec_run **ret_run)
{
	_cleanup_(host_environment_done) struct host_environment environment = { 0 };
	char path[PATH_MAX];
	char *argv[] = { (char *)find_host(path), worker->config->name, worker->config->module_path,
		NULL };

	int r = make_environment(worker, &environment);
	if (r < 0) {
		snprintf(worker->detail, sizeof(worker->detail), "cannot start: out of memory");
		return r;
	}
	const struct exec_plan plan = {
		.argv = argv, .environment = environment.all, .extra_fd = fd
	};
	return exec_launch(worker, &plan, ret_run);
}

static int module_start(struct worker *worker, struct run **ret_run)
{
	struct module_link *link;
	struct exec_run *run;
	_cleanup_(closep) int host_fd = -1;

	int r = module_link_new(worker, &link, &host_fd);
	if (r < 0) {
		snprintf(worker->detail, sizeof(worker->detail), "cannot start: %s", strerror(-r));
		return r;
	}
	r = start_host(worker, host_fd, &run);
	if (r < 0) {
		module_link_free(link);
		return r;
	}
	run->link = link;
	module_link_begin(link, run->run.task);
	*ret_run = &run->run;
	return 0;
}

static const struct module_told *told_by(struct run *run)
{
	return module_link_told(exec_run_of(run)->link);
}

const struct work module_work = {
	.name = "module",
	.start = module_start,
	.free = exec_free,
	.told = told_by,
};
