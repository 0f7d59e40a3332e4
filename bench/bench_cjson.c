/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long cJSON takes to parse a document: the baseline of flagd's start.
 *
 *	bench_cjson FILE [REPETITIONS]
 *
 * Prints the median in ms of parsing alone; freeing the tree is not counted.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cjson/cJSON.h>

#define MAX_REPS 101

static double now_ms(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static int compare(const void *a, const void *b)
{
	double left = *(const double *)a;
	double right = *(const double *)b;
	return (left > right) - (left < right);
}

static char *text_read(const char *path, size_t *ret_length)
{
	FILE *file = fopen(path, "re");
	if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
		return NULL;
	}
	long size = ftell(file);
	rewind(file);
	char *text = size > 0 ? malloc((size_t)size) : NULL;
	*ret_length = text != NULL ? fread(text, 1, (size_t)size, file) : 0;
	(void)fclose(file);
	return text;
}

int main(int argc, char **argv)
{
	int reps = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 5;
	size_t length = 0;
	char *text = argc > 1 ? text_read(argv[1], &length) : NULL;
	if (text == NULL || reps < 1 || reps > MAX_REPS) {
		(void)fprintf(stderr, "usage: bench_cjson FILE [REPETITIONS]\n");
		return 2;
	}
	double took_ms[MAX_REPS];
	for (int i = 0; i < reps; i++) {
		double start_ms = now_ms();
		cJSON *tree = cJSON_ParseWithLength(text, length);
		took_ms[i] = now_ms() - start_ms;
		if (tree == NULL) {
			(void)fprintf(stderr, "bench_cjson: not JSON\n");
			return 1;
		}
		cJSON_Delete(tree);
	}
	qsort(took_ms, (size_t)reps, sizeof(took_ms[0]), compare);
	(void)printf("%.3f\n", took_ms[reps / 2]);
	free(text);
	return 0;
}
