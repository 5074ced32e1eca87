/*
 * Any bytes as a configuration: read without a crash or a leak, and either a configuration or at
 * least one error, never both.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void try_units(const uint8_t *data, size_t size)
{
	char text[64], formatted[64];
	uint64_t span, bytes;
	if (size >= sizeof(text))
		return;
	memcpy(text, data, size);
	text[size] = 0;
	int r = span_parse(text, &span);
	require(r == 0 || r == -EINVAL || r == -ERANGE);
	if (r == 0) {
		uint64_t again;
		span_format(span, formatted, sizeof(formatted));
		require(span_parse(formatted, &again) == 0 && again <= span);
	}
	r = size_parse(text, &bytes);
	require(r == 0 || r == -EINVAL || r == -ERANGE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config *config = NULL;
	struct config_errors errors = { 0 };
	(void)unsetenv("CREDENTIALS_DIRECTORY");
	int r = config_read_text("fuzz.yaml", (const char *)data, size, &config, &errors);
	require(r == 0 || r == -EBADMSG);
	require((r == 0) == (config != NULL));
	require((r == 0) == (errors.count == 0));
	require((errors.count > 0) == (errors.text[0] != 0));
	for (size_t i = 0; config && i < config->worker_count; i++) {
		const struct worker_config *worker = &config->workers[i];
		int whats = (worker->exec != NULL) + (worker->module_path != NULL) +
		            (worker->http.url != NULL);
		require(whats == 1 && worker->after && worker->environment);
		require(!worker->exec || worker->exec[0]);
		require(!worker->http.url || (worker->http.method && worker->when != WHEN_ALWAYS));
		require(worker->http.headers && worker->call.cache_headers);
		require(worker_config_same_run(worker, worker));
	}
	config_errors_done(&errors);
	config_free(config);
	try_units(data, size);
	return 0;
}
