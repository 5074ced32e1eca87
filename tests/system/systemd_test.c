/*
 * The service under a real systemd: each script in nspawn/ runs in a container of its own, against
 * what `cmake --install` installs, and says what it found. A script that finds a fault fails its
 * test with all that it said and the container's journal.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/macro.h"

#define SKIPPED 77

static const char *const scripts[] = {
	"unit",
	"ready",
	"stop",
	"forced",
	"http",
	"tree",
	"watchdog",
	"socket",
	"reload",
	"journal",
	"killed",
};

static const char *required(const char *name)
{
	const char *value = getenv(name);

	ck_assert_msg(value != NULL, "%s is not set: run this by ctest", name);
	return value;
}

START_TEST(a_script_finds_all_as_it_should_be)
{
	static char found[1 << 20];
	const char *source = required("QUIESCE_SOURCE");
	char command[4096];

	snprintf(command, sizeof(command),
	        "exec '%s/tests/system/nspawn/run-in-systemd' '%s' '%s/tests/system/nspawn/%s.sh' "
	        "2>&1",
	        source, required("QUIESCE_BUILD"), source, scripts[_i]);
	FILE *pipe = popen(command, "r");
	ck_assert_ptr_nonnull(pipe);
	size_t size = fread(found, 1, sizeof(found) - 1, pipe);
	int status = pclose(pipe);
	if (status != 0) /* Check takes no message as long as a journal */
		(void)fwrite(found, 1, size, stdout);
	ck_assert_msg(status == 0, "%s: status %d, see above", scripts[_i], WEXITSTATUS(status));
	ck_assert_ptr_nonnull(strstr(found, "ok: "));
}
END_TEST

int main(void)
{
	if (geteuid() != 0) {
		fputs("systemd_test: a container takes root\n", stderr);
		return getenv("CI") ? EXIT_FAILURE : SKIPPED;
	}
	Suite *suite = suite_create("systemd");
	TCase *scripted = tcase_create("scripts");

	tcase_set_timeout(scripted, 100);
	tcase_add_loop_test(
	        scripted, a_script_finds_all_as_it_should_be, 0, (int)ARRAY_SIZE(scripts));
	suite_add_tcase(suite, scripted);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
