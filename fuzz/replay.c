/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a fuzz target once over each file of the folders given and over the empty input, without
 * libFuzzer: what was found once stays fixed in every normal test run. Fails when a folder is empty.
 */
#include "fuzz/fuzz.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define INPUT_MAX_BYTES (4 * 1024 * 1024)

/* The copy has exactly the input's size, so that a sanitizer sees a read behind its end. */
static int file_run(const char *path)
{
	struct stat info;
	FILE *file = fopen(path, "rb");
	if (file == NULL || fstat(fileno(file), &info) != 0 || info.st_size > INPUT_MAX_BYTES) {
		(void)fprintf(stderr, "%s: cannot be read or is larger than %d bytes\n", path,
		              INPUT_MAX_BYTES);
		if (file != NULL) {
			(void)fclose(file);
		}
		return -1;
	}
	size_t size = (size_t)info.st_size;
	uint8_t *bytes = malloc(size > 0 ? size : 1);
	if (bytes == NULL || fread(bytes, 1, size, file) != size) {
		(void)fprintf(stderr, "%s: reading failed\n", path);
		free(bytes);
		(void)fclose(file);
		return -1;
	}
	(void)fclose(file);
	(void)fprintf(stderr, "%s\n", path);
	(void)LLVMFuzzerTestOneInput(bytes, size);
	free(bytes);
	return 0;
}

/* Number of files that were run, or -1. */
static int folder_run(const char *folder)
{
	struct dirent **entries = NULL;
	int count = scandir(folder, &entries, NULL, alphasort);
	int run = 0;
	for (int i = 0; i < count; i++) {
		char path[4096];
		int length = snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
		bool is_hidden = entries[i]->d_name[0] == '.';
		free(entries[i]);
		if (is_hidden || run < 0) {
			continue;
		}
		if (length < 0 || (size_t)length >= sizeof(path) || file_run(path) != 0) {
			run = -1;
		} else {
			run++;
		}
	}
	free(entries);
	return count < 0 ? -1 : run;
}

int main(int argc, char **argv)
{
	int total = 0;
	(void)LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
	for (int i = 1; i < argc; i++) {
		int run = folder_run(argv[i]);
		if (run <= 0) {
			(void)fprintf(stderr, "%s: no input was run\n", argv[i]);
			return EXIT_FAILURE;
		}
		total += run;
	}
	(void)printf("%d inputs replayed\n", total);
	return EXIT_SUCCESS;
}
