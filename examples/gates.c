/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gates of a bot, printed whenever one of them changes. Links libhalyard through its public header only.
 *
 *	gates [--url URL] [--token TOKEN] [--environment NAME] [--cache-dir FOLDER]
 *
 * What is not given comes from HALYARD_URL, HALYARD_TOKEN, HALYARD_ENVIRONMENT and HALYARD_CACHE_DIR; else
 * http://127.0.0.1:8016, environment dev, no cache. Ctrl-C ends it.
 */
#include <halyard/halyard.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define USERS 1000

static const char *const gates[] = { "ENABLE_ALERTS", "ENABLE_DEBUG_CMD", "ENABLE_JSON_LOGGING" };
#define GATE_COUNT (sizeof(gates) / sizeof(gates[0]))
#define ROLLOUT    "new-status-page"

/* What was printed last. */
struct board {
	struct halyard_client *flags;
	pthread_mutex_t lock; /* guards what follows: main prints, and so does the callback */
	bool is_printed;
	bool is_on[GATE_COUNT];
	enum halyard_reason reasons[GATE_COUNT];
	int users;
};

static void time_print(void)
{
	struct timespec now;
	struct tm local;
	char text[32];
	clock_gettime(CLOCK_REALTIME, &now);
	(void)localtime_r(&now.tv_sec, &local);
	(void)strftime(text, sizeof(text), "%H:%M:%S", &local);
	(void)printf("%s.%03ld", text, now.tv_nsec / 1000000);
}

/* How many of a thousand users get the new page. */
static int users_count(struct halyard_client *flags)
{
	int count = 0;
	for (int i = 0; i < USERS; i++) {
		char user[16];
		(void)snprintf(user, sizeof(user), "user-%d", i);
		count += halyard_bool(flags, ROLLOUT, &(struct halyard_context){ .targeting_key = user },
		                      false, NULL);
	}
	return count;
}

/* With the lock held. */
static void board_print(struct board *board)
{
	/* One snapshot for all of them: the line never mixes two revisions. */
	bool is_on[GATE_COUNT];
	enum halyard_reason reasons[GATE_COUNT];
	struct halyard_detail detail;
	halyard_read_begin(board->flags);
	for (size_t i = 0; i < GATE_COUNT; i++) {
		is_on[i] = halyard_bool(board->flags, gates[i], NULL, false, &detail);
		reasons[i] = detail.reason;
	}
	int users = users_count(board->flags);
	halyard_read_end(board->flags);
	if (board->is_printed && users == board->users && memcmp(is_on, board->is_on, sizeof(is_on)) == 0 &&
	    memcmp(reasons, board->reasons, sizeof(reasons)) == 0) {
		return;
	}
	time_print();
	(void)printf("  revision %llu\n", (unsigned long long)detail.revision);
	for (size_t i = 0; i < GATE_COUNT; i++) {
		bool has_changed = board->is_printed && is_on[i] != board->is_on[i];
		(void)printf("    %-20s %-4s %s%s\n", gates[i], is_on[i] ? "on" : "off",
		             halyard_reason_name(reasons[i]), has_changed ? "   <- changed" : "");
	}
	(void)printf("    %-20s %d of %d users%s\n", ROLLOUT, users, USERS,
	             board->is_printed && users != board->users ? "   <- changed" : "");
	(void)fflush(stdout);
	board->is_printed = true;
	board->users = users;
	memcpy(board->is_on, is_on, sizeof(is_on));
	memcpy(board->reasons, reasons, sizeof(reasons));
}

static void on_change(void *user, const struct halyard_change *change)
{
	struct board *board = user;
	(void)change;
	pthread_mutex_lock(&board->lock);
	board_print(board);
	pthread_mutex_unlock(&board->lock);
}

static void on_log(void *user, enum halyard_log_level level, const char *message)
{
	(void)user;
	if (level >= HALYARD_LOG_INFO) {
		(void)fprintf(stderr, "halyard: %s\n", message);
	}
}

static const char *setting(int argc, char **argv, const char *option, const char *variable, const char *value)
{
	for (int i = 1; i + 1 < argc; i++) {
		if (strcmp(argv[i], option) == 0) {
			return argv[i + 1];
		}
	}
	const char *from_environment = getenv(variable);
	return from_environment != NULL && from_environment[0] != '\0' ? from_environment : value;
}

int main(int argc, char **argv)
{
	/* Before any thread: Ctrl-C is taken by sigwait() below, and nowhere else. */
	sigset_t ends;
	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &ends, NULL);

	struct board board = { .lock = PTHREAD_MUTEX_INITIALIZER };
	const struct halyard_options options = {
		.size = sizeof(options),
		.url = setting(argc, argv, "--url", "HALYARD_URL", "http://127.0.0.1:8016"),
		.token = setting(argc, argv, "--token", "HALYARD_TOKEN", NULL),
		.environment = setting(argc, argv, "--environment", "HALYARD_ENVIRONMENT", "dev"),
		.cache_dir = setting(argc, argv, "--cache-dir", "HALYARD_CACHE_DIR", NULL),
		.log = on_log,
	};
	if (halyard_open(&board.flags, &options) != HALYARD_OK) {
		(void)fprintf(stderr, "gates: %s\n", halyard_open_error());
		return 1;
	}
	if (halyard_subscribe(board.flags, on_change, &board) == 0) {
		(void)fprintf(stderr, "gates: out of memory\n");
	}
	if (halyard_wait_ready(board.flags, 3000) != HALYARD_OK) {
		(void)fprintf(stderr,
		              "gates: no word from the daemon yet; these are the defaults, or cached\n");
	}
	pthread_mutex_lock(&board.lock);
	board_print(&board);
	pthread_mutex_unlock(&board.lock);
	int signal_number = 0;
	(void)sigwait(&ends, &signal_number);
	halyard_close(board.flags);
	(void)printf("gates: closed\n");
	return 0;
}
