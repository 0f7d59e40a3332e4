/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many clients in one process, for tests of reconnecting: opens COUNT clients of the environment that HALYARD_URL,
 * HALYARD_TOKEN and HALYARD_ENVIRONMENT name (HALYARD_PUBLIC_KEY pins the key), then does what it is told on
 * standard input, a command a line, and answers each with a line of JSON:
 *
 *	wait REVISION TIMEOUT_MS      until every client has that revision: how many have, and the time it took
 *	state                         how many clients are in each state, and how many are stale
 *	quit                          closes all: the time it took
 */
#include <halyard/halyard.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct halyard_client **clients;
static size_t client_count;

static int64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static struct halyard_status status_of(size_t index)
{
	struct halyard_status status = { .size = sizeof(status) };
	halyard_status(clients[index], &status);
	return status;
}

static void revision_wait(uint64_t revision, int64_t timeout_ms)
{
	int64_t start_ms = now_ms();
	size_t have = 0;
	/* Each client in turn: one that has it keeps it. */
	while (have < client_count && now_ms() - start_ms < timeout_ms) {
		struct halyard_status status = status_of(have);
		if (status.revision >= revision && status.state == HALYARD_STATE_STREAMING) {
			have++;
		} else {
			(void)nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
		}
	}
	printf("{\"command\":\"wait\",\"have\":%zu,\"ms\":%" PRId64 "}\n", have, now_ms() - start_ms);
}

static void state_print(void)
{
	size_t states[4] = { 0 };
	size_t stale = 0;
	uint64_t refused = 0;
	for (size_t i = 0; i < client_count; i++) {
		struct halyard_status status = status_of(i);
		states[status.state]++;
		stale += status.is_stale;
		refused += status.refused;
	}
	printf("{\"command\":\"state\",\"starting\":%zu,\"streaming\":%zu,\"polling\":%zu,\"disconnected\":%"
	       "zu,"
	       "\"stale\":%zu,\"refused\":%" PRIu64 "}\n",
	       states[HALYARD_STATE_STARTING], states[HALYARD_STATE_STREAMING], states[HALYARD_STATE_POLLING],
	       states[HALYARD_STATE_DISCONNECTED], stale, refused);
}

static int herd_open(void)
{
	struct halyard_options options = {
		.size = sizeof(options),
		.url = getenv("HALYARD_URL"),
		.token = getenv("HALYARD_TOKEN"),
		.environment = getenv("HALYARD_ENVIRONMENT"),
		.public_key = getenv("HALYARD_PUBLIC_KEY"),
		.stale_after_ms = 2000,
	};
	for (size_t i = 0; i < client_count; i++) {
		if (halyard_open(&clients[i], &options) != HALYARD_OK) {
			fprintf(stderr, "client %zu: %s\n", i, halyard_open_error());
			return EXIT_FAILURE;
		}
	}
	printf("{\"command\":\"open\",\"clients\":%zu}\n", client_count);
	return EXIT_SUCCESS;
}

static void herd_close(void)
{
	int64_t start_ms = now_ms();
	for (size_t i = 0; i < client_count; i++) {
		halyard_close(clients[i]);
	}
	printf("{\"command\":\"quit\",\"ms\":%" PRId64 "}\n", now_ms() - start_ms);
}

int main(int argc, char **argv)
{
	client_count = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;
	clients = calloc(client_count + 1, sizeof(struct halyard_client *));
	if (client_count == 0 || clients == NULL) {
		fprintf(stderr, "usage: client_herd COUNT\n");
		return EXIT_FAILURE;
	}
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	int result = herd_open();
	char line[256];
	while (result == EXIT_SUCCESS && fgets(line, sizeof(line), stdin) != NULL &&
	       strncmp(line, "quit", 4) != 0) {
		uint64_t revision = 0;
		int64_t timeout_ms = 0;
		if (sscanf(line, "wait %" SCNu64 " %" SCNd64, &revision, &timeout_ms) == 2) {
			revision_wait(revision, timeout_ms);
		} else {
			state_print();
		}
	}
	herd_close();
	free(clients);
	return result;
}
