/* Feeds files, and the files of directories, to a fuzzer's entry: its corpus as an ordinary test.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
	FILE *file = fopen(path, "re");
	struct stat status;
	if (!file || fstat(fileno(file), &status) < 0) {
		(void)fprintf(stderr, "%s: %s\n", path, strerror(errno));
		if (file)
			(void)fclose(file);
		return -1;
	}
	/* Exactly as large as the input, so that a sanitizer sees what reads beyond it. */
	size_t size = (size_t)status.st_size;
	uint8_t *data = malloc(size > 0 ? size : 1);
	size_t got = data ? fread(data, 1, size, file) : 0;
	(void)fclose(file);
	if (got == size)
		(void)LLVMFuzzerTestOneInput(data, size);
	else
		(void)fprintf(stderr, "%s: cannot be read\n", path);
	free(data);
	return got == size ? 1 : -1;
}

static int replay_directory(const char *path)
{
	DIR *directory = opendir(path);
	int count = 0;
	if (!directory)
		return replay_file(path);
	for (const struct dirent *entry; count >= 0 && (entry = readdir(directory)) != NULL;) {
		char name[4096];
		if (entry->d_name[0] == '.')
			continue;
		int length = snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		int r = length < (int)sizeof(name) ? replay_file(name) : -1;
		count = r < 0 ? r : count + r;
	}
	(void)closedir(directory);
	return count;
}

int main(int argc, char **argv)
{
	int total = 0;
	for (int i = 1; i < argc; i++) {
		int count = replay_directory(argv[i]);
		if (count < 0)
			return 1;
		total += count;
	}
	(void)printf("%d inputs\n", total);
	/* An empty corpus proves nothing. */
	return total > 0 ? 0 : 1;
}
