/* SPDX-License-Identifier: Apache-2.0 */
/* flagd: reads its configuration, starts, waits for a signal, stops. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <sodium.h>

#include "base/log.h"
#include "flagd/app.h"

/* Exit codes, for scripts and the service manager (RUNBOOK.md). */
enum { EXIT_USAGE = 2, EXIT_DATA = 3, EXIT_START = 4 };

static int exit_code(enum status status)
{
	if (status == STATUS_CORRUPT || status == STATUS_UNTRUSTED || status == STATUS_CONFLICT) {
		return EXIT_DATA;
	}
	return EXIT_START;
}

static int fail(const char *what, const struct error *err, int code)
{
	log_error(what, LOG_STRING("status", status_slug(err->status)), LOG_STRING("why", err->message));
	(void)fprintf(stderr, "flagd: %s\n", err->message);
	return code;
}

static enum log_level level_parse(const char *text)
{
	static const char *const names[] = { "debug", "info", "warn", "error" };
	for (int i = 0; i < 4; i++) {
		if (strcmp(text, names[i]) == 0) {
			return (enum log_level)i;
		}
	}
	return LOG_INFO;
}

static void text_print(void (*write_text)(struct buf *out))
{
	struct buf out;
	buf_init(&out, 1024 * 1024);
	write_text(&out);
	(void)fputs(buf_string(&out), stdout);
	buf_deinit(&out);
}

/* Waits for SIGINT or SIGTERM, which every thread has blocked. */
static int signal_wait(const sigset_t *signals)
{
	for (;;) {
		int received = sigwaitinfo(signals, NULL);
		if (received > 0) {
			return received;
		}
		if (errno != EINTR) {
			return 0;
		}
	}
}

static int run(const struct config *config)
{
	struct log_options options = { .service = "flagd",
		                       .level = level_parse(config->log_level),
		                       .fd = STDERR_FILENO,
		                       .is_json = strcmp(config->log_format, "json") == 0 };
	log_setup(&options);
	sigset_t signals;
	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGINT);
	(void)sigaddset(&signals, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &signals, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	/* Keys are in memory: no core dump. */
	(void)setrlimit(RLIMIT_CORE, &(const struct rlimit){ 0, 0 });
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);

	struct app *app = NULL;
	struct error err = ERROR_INIT;
	enum status status = app_open(config, &clock_system, &app, &err);
	if (status != STATUS_OK) {
		return fail("cannot open the data folder", &err, exit_code(status));
	}
	status = app_start(app, &err);
	if (status != STATUS_OK) {
		app_close(app);
		return fail("cannot start", &err, exit_code(status));
	}
	log_info("listening", LOG_STRING("address", config->address),
	         LOG_INT("port", http_server_port(atomic_load(&app->server))),
	         LOG_STRING("data", config->data), LOG_STRING("version", HALYARD_VERSION));
	int received = signal_wait(&signals);
	log_info("stopping", LOG_INT("signal", received));
	app_close(app);
	log_info("stopped");
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct config config = { 0 };
	enum config_action action = CONFIG_RUN;
	struct error err = ERROR_INIT;
	if (sodium_init() < 0) {
		(void)fputs("flagd: libsodium cannot be initialised\n", stderr);
		return EXIT_START;
	}
	if (config_read(argc, argv, environ, &config, &action, &err) != STATUS_OK) {
		(void)fprintf(stderr, "flagd: %s\nTry `flagd --help`.\n", err.message);
		return EXIT_USAGE;
	}
	int code = EXIT_SUCCESS;
	switch (action) {
	case CONFIG_RUN:
		code = run(&config);
		break;
	case CONFIG_HELP:
		text_print(config_help);
		break;
	case CONFIG_VERSION:
		(void)puts("flagd (Halyard) " HALYARD_VERSION);
		break;
	}
	config_deinit(&config);
	return code;
}
