/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that links libhalyard and does what it is told on standard input, one command a line; each
 * answer, and each change callback, is one line of JSON on standard output. Integration tests drive it.
 *
 *	client_probe [--url U] [--token T] [--environment E] [--cache-dir D] [--bootstrap F]
 *	             [--public-key K] [--poll-ms N] [--connect-ms N] [--silence-ms N] [--stale-ms N]
 *	             [--telemetry-ms N] [--poll-only] [--log]
 *
 * What is not given comes from HALYARD_URL, HALYARD_TOKEN, HALYARD_ENVIRONMENT, HALYARD_CACHE_DIR.
 *
 *	bool|integer|number|string|json KEY [TARGETING-KEY | {context}]
 *	session KEY SESSION PERCENTAGE        explain KEY [TARGETING-KEY | {context}]
 *	rollout KEY N                         counts user-0 … user-(N-1) for whom a boolean flag is on
 *	count KEY [context]                   track KEY IS_ERROR LATENCY_MS [context]
 *	status                                ready TIMEOUT_MS
 *	wait REVISION TIMEOUT_MS              state NAME TIMEOUT_MS
 *	subscribe                             unsubscribe ID
 *	spin KEY DURATION_MS                  evaluates all the time: how often, and the longest, in ns
 *	fork KEY                              a child evaluates and closes: its exit status
 *	close-descriptors                     closes every descriptor from 3 on, as a daemon does
 *	close                                 closes the client: how long it took
 *	quit                                  (as the end of the input)
 */
#include <errno.h>
#include <halyard/halyard.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/json_write.h"
#include "engine/context.h"

#define LINE_BYTES  65536
#define VALUE_BYTES 262144

static struct halyard_client *flags;
static pthread_mutex_t output_lock = PTHREAD_MUTEX_INITIALIZER;

static int64_t now_ns(clockid_t clock)
{
	struct timespec now;
	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* ---- Output ---- */

struct answer {
	struct buf buf;
	struct json_writer w;
};

static void answer_begin(struct answer *answer, const char *kind, const char *name)
{
	buf_init(&answer->buf, (size_t)16 * 1024 * 1024);
	json_writer_init(&answer->w, &answer->buf);
	json_begin_object(&answer->w);
	json_put_key_string(&answer->w, kind, name);
}

static void answer_time(struct answer *answer)
{
	json_put_key_uint64_string(&answer->w, "monotonic_ns", (uint64_t)now_ns(CLOCK_MONOTONIC));
	json_put_key_uint64_string(&answer->w, "realtime_ns", (uint64_t)now_ns(CLOCK_REALTIME));
}

static void answer_end(struct answer *answer)
{
	json_end_object(&answer->w);
	buf_append_char(&answer->buf, '\n');
	pthread_mutex_lock(&output_lock);
	if (fwrite(answer->buf.data, 1, answer->buf.length, stdout) != answer->buf.length ||
	    fflush(stdout) != 0) {
		_exit(3); /* nobody reads any more */
	}
	pthread_mutex_unlock(&output_lock);
	buf_deinit(&answer->buf);
}

static void answer_error(const char *command, const char *message)
{
	struct answer answer;
	answer_begin(&answer, "command", command);
	json_put_key_string(&answer.w, "error", message);
	answer_end(&answer);
}

/* ---- Callbacks ---- */

static void on_log(void *user, enum halyard_log_level level, const char *message)
{
	static const char *const names[] = { "debug", "info", "warn", "error" };
	struct answer answer;
	(void)user;
	answer_begin(&answer, "event", "log");
	json_put_key_string(&answer.w, "level", names[level]);
	json_put_key_string(&answer.w, "message", message);
	answer_end(&answer);
}

static void on_change(void *user, const struct halyard_change *change)
{
	struct answer answer;
	(void)user;
	answer_begin(&answer, "event", "change");
	answer_time(&answer);
	json_put_key_uint64_string(&answer.w, "epoch", change->epoch);
	json_put_key_uint64_string(&answer.w, "revision", change->revision);
	json_put_key(&answer.w, "keys");
	if (change->keys == NULL) {
		json_put_null(&answer.w);
	} else {
		json_begin_array(&answer.w);
		for (size_t i = 0; i < change->key_count; i++) {
			json_put_string(&answer.w, change->keys[i]);
		}
		json_end_array(&answer.w);
	}
	answer_end(&answer);
}

/* ---- Commands ---- */

/* A context from what is left of a line: JSON, or a targeting key. */
struct request {
	struct json_doc doc;
	struct arena arena;
	struct context context;
	const char *problem; /* NULL: it can be used */
	char message[ERROR_MESSAGE_SIZE];
};

static void request_init(struct request *request, const char *text)
{
	struct error err = ERROR_INIT;
	*request = (struct request){ 0 };
	arena_init(&request->arena, (size_t)1024 * 1024);
	if (text == NULL || text[0] == '\0') {
		return;
	}
	if (text[0] != '{') {
		request->context.targeting_key = text;
		return;
	}
	enum status status = json_parse(text, strlen(text), &json_limits_default, &request->doc, &err);
	if (status == STATUS_OK) {
		status = context_read(json_root(&request->doc), &request->arena, &request->context, &err);
	}
	if (status != STATUS_OK) {
		(void)snprintf(request->message, sizeof(request->message), "%s", err.message);
		request->problem = request->message;
	}
}

static void request_deinit(struct request *request)
{
	json_doc_deinit(&request->doc);
	arena_deinit(&request->arena);
}

static const struct halyard_context *request_context(const struct request *request)
{
	/* The two have the same layout: client/evaluate.c asserts it. */
	return (const struct halyard_context *)(const void *)&request->context;
}

static void detail_write(struct json_writer *w, const struct halyard_detail *detail)
{
	json_put_key_string(w, "reason", halyard_reason_name(detail->reason));
	json_put_key_string(w, "error", halyard_error_name(detail->error));
	json_put_key_string(w, "variant", detail->variant);
	json_put_key_boolean(w, "is_default", detail->is_default);
	json_put_key_boolean(w, "is_stale", detail->is_stale);
	json_put_key_uint64_string(w, "epoch", detail->epoch);
	json_put_key_uint64_string(w, "revision", detail->revision);
	json_put_key_uint64_string(w, "age_ms", detail->age_ms);
}

static void value_write(struct json_writer *w, const char *type, const char *key,
                        const struct halyard_context *context, struct halyard_detail *detail)
{
	static char text[VALUE_BYTES];
	json_put_key(w, "value");
	if (strcmp(type, "bool") == 0) {
		json_put_boolean(w, halyard_bool(flags, key, context, false, detail));
	} else if (strcmp(type, "integer") == 0) {
		json_put_int64(w, halyard_integer(flags, key, context, -1, detail));
	} else if (strcmp(type, "number") == 0) {
		json_put_double(w, halyard_number(flags, key, context, -1, detail));
	} else if (strcmp(type, "string") == 0) {
		(void)halyard_string(flags, key, context, "fallback", text, sizeof(text), detail);
		json_put_string(w, text);
	} else {
		size_t length = halyard_json(flags, key, context, "null", text, sizeof(text), detail);
		json_put_raw(w, text, length < sizeof(text) ? length : sizeof(text) - 1);
	}
}

static void evaluate(const char *type, const char *key, const char *rest)
{
	struct request request;
	request_init(&request, rest);
	if (request.problem != NULL) {
		answer_error(type, request.problem);
	} else {
		struct answer answer;
		struct halyard_detail detail;
		answer_begin(&answer, "command", type);
		json_put_key_string(&answer.w, "key", key);
		value_write(&answer.w, type, key, request_context(&request), &detail);
		detail_write(&answer.w, &detail);
		answer_end(&answer);
	}
	request_deinit(&request);
}

static void explain(const char *key, const char *rest)
{
	static char text[VALUE_BYTES];
	struct request request;
	request_init(&request, rest);
	size_t length = request.problem != NULL
	                        ? 0
	                        : halyard_explain(flags, key, request_context(&request), text, sizeof(text));
	if (length == 0 || length >= sizeof(text)) {
		answer_error("explain",
		             request.problem != NULL ? request.problem : "The explanation is too long");
	} else {
		struct answer answer;
		answer_begin(&answer, "command", "explain");
		json_put_key(&answer.w, "explain");
		json_put_raw(&answer.w, text, length);
		answer_end(&answer);
	}
	request_deinit(&request);
}

static const char *const state_names[] = { "starting", "streaming", "polling", "disconnected" };
static const char *const source_names[] = { "none", "bootstrap", "cache", "daemon" };

static void status_write(void)
{
	struct halyard_status status = { .size = sizeof(status) };
	halyard_status(flags, &status);
	struct answer answer;
	answer_begin(&answer, "command", "status");
	json_put_key_string(&answer.w, "state", state_names[status.state]);
	json_put_key_string(&answer.w, "source", source_names[status.source]);
	json_put_key_boolean(&answer.w, "is_stale", status.is_stale);
	json_put_key_uint64_string(&answer.w, "epoch", status.epoch);
	json_put_key_uint64_string(&answer.w, "revision", status.revision);
	json_put_key_uint64_string(&answer.w, "age_ms", status.age_ms);
	json_put_key_uint64_string(&answer.w, "flag_count", status.flag_count);
	json_put_key_uint64_string(&answer.w, "updates", status.updates);
	json_put_key_uint64_string(&answer.w, "refused", status.refused);
	json_put_key_uint64_string(&answer.w, "reconnects", status.reconnects);
	json_put_key_uint64_string(&answer.w, "telemetry_dropped", status.telemetry_dropped);
	json_put_key_string(&answer.w, "last_error", status.last_error);
	answer_end(&answer);
}

/* Waits until the status is as wanted: a revision (@state NULL) or a state. */
static void wait_for(const char *command, uint64_t revision, const char *state, long timeout_ms)
{
	struct halyard_status status = { .size = sizeof(status) };
	int64_t until_ns = now_ns(CLOCK_MONOTONIC) + (int64_t)timeout_ms * 1000000;
	bool is_there = false;
	for (;;) {
		halyard_status(flags, &status);
		is_there = state != NULL ? strcmp(state_names[status.state], state) == 0
		                         : status.revision >= revision;
		if (is_there || now_ns(CLOCK_MONOTONIC) >= until_ns) {
			break;
		}
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	struct answer answer;
	answer_begin(&answer, "command", command);
	answer_time(&answer);
	json_put_key_boolean(&answer.w, "ok", is_there);
	json_put_key_string(&answer.w, "state", state_names[status.state]);
	json_put_key_uint64_string(&answer.w, "revision", status.revision);
	answer_end(&answer);
}

static void result_write(const char *command, const char *name, int64_t value)
{
	struct answer answer;
	answer_begin(&answer, "command", command);
	json_put_key_int64(&answer.w, name, value);
	answer_end(&answer);
}

static void rollout(const char *key, long count)
{
	int64_t on = 0;
	for (long i = 0; i < count; i++) {
		char user[32];
		(void)snprintf(user, sizeof(user), "user-%ld", i);
		on += halyard_bool(flags, key, &(struct halyard_context){ .targeting_key = user }, false,
		                   NULL);
	}
	result_write("rollout", "on", on);
}

static void tell(const char *command, const char *key, bool is_error, double latency_ms, const char *rest)
{
	struct request request;
	struct halyard_detail detail;
	char text[1];
	request_init(&request, rest);
	(void)halyard_json(flags, key, request_context(&request), NULL, text, sizeof(text), &detail);
	if (strcmp(command, "count") == 0) {
		halyard_count(flags, key, &detail);
	} else {
		halyard_track(flags, key, &detail, is_error, latency_ms);
	}
	request_deinit(&request);
	struct answer answer;
	answer_begin(&answer, "command", command);
	detail_write(&answer.w, &detail);
	answer_end(&answer);
}

static void spin(const char *key, long duration_ms)
{
	const struct halyard_context context = { .targeting_key = "user-1" };
	int64_t last_ns = now_ns(CLOCK_MONOTONIC);
	int64_t until_ns = last_ns + (int64_t)duration_ms * 1000000;
	int64_t longest_ns = 0;
	int64_t count = 0;
	while (last_ns < until_ns) {
		(void)halyard_bool(flags, key, &context, false, NULL);
		int64_t ns = now_ns(CLOCK_MONOTONIC);
		longest_ns = ns - last_ns > longest_ns ? ns - last_ns : longest_ns;
		last_ns = ns;
		count++;
	}
	struct answer answer;
	answer_begin(&answer, "command", "spin");
	json_put_key_int64(&answer.w, "count", count);
	json_put_key_int64(&answer.w, "longest_ns", longest_ns);
	answer_end(&answer);
}

static void fork_and_evaluate(const char *key)
{
	pid_t child = fork();
	if (child == 0) {
		struct halyard_detail detail;
		bool value = halyard_bool(flags, key, NULL, false, &detail);
		halyard_close(flags);
		_exit(detail.error == HALYARD_ERROR_NONE ? value : 2);
	}
	int exit_status = 0;
	(void)waitpid(child, &exit_status, 0);
	result_write("fork", "exit", WIFEXITED(exit_status) ? WEXITSTATUS(exit_status) : -1);
}

static void client_close(void)
{
	int64_t start_ns = now_ns(CLOCK_MONOTONIC);
	halyard_close(flags);
	flags = NULL;
	result_write("close", "ms", (now_ns(CLOCK_MONOTONIC) - start_ns) / 1000000);
}

/* Commands of a key and a context; false: it is none of them. */
static bool key_command(const char *command, const char *key, char *rest)
{
	static const char *const types[] = { "bool", "integer", "number", "string", "json" };
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (strcmp(command, types[i]) == 0) {
			evaluate(command, key, rest);
			return true;
		}
	}
	if (strcmp(command, "explain") == 0) {
		explain(key, rest);
	} else if (strcmp(command, "count") == 0) {
		tell(command, key, false, -1, rest);
	} else if (strcmp(command, "track") == 0) {
		const char *is_error = strsep(&rest, " ");
		const char *latency_ms = rest != NULL ? strsep(&rest, " ") : NULL;
		tell(command, key, is_error != NULL && strcmp(is_error, "true") == 0,
		     latency_ms != NULL ? strtod(latency_ms, NULL) : -1, rest);
	} else if (strcmp(command, "session") == 0) {
		const char *session = strsep(&rest, " ");
		double percentage = rest != NULL ? strtod(rest, NULL) : -1;
		result_write(command, "on", halyard_is_enabled_for_session(flags, key, session, percentage));
	} else if (strcmp(command, "rollout") == 0) {
		rollout(key, rest != NULL ? strtol(rest, NULL, 10) : 1000);
	} else if (strcmp(command, "spin") == 0) {
		spin(key, rest != NULL ? strtol(rest, NULL, 10) : 100);
	} else if (strcmp(command, "fork") == 0) {
		fork_and_evaluate(key);
	} else {
		return false;
	}
	return true;
}

/* False: the end. */
static bool command_run(char *line)
{
	char *rest = line;
	const char *command = strsep(&rest, " ");
	char *argument = rest != NULL ? strsep(&rest, " ") : NULL;
	if (strcmp(command, "quit") == 0) {
		return false;
	}
	if (strcmp(command, "status") == 0) {
		status_write();
	} else if (strcmp(command, "subscribe") == 0) {
		result_write(command, "id", (int64_t)halyard_subscribe(flags, on_change, NULL));
	} else if (strcmp(command, "close") == 0) {
		client_close();
	} else if (strcmp(command, "close-descriptors") == 0) {
		for (int fd = 3; fd < 1024; fd++) {
			(void)close(fd);
		}
		result_write(command, "from", 3);
	} else if (argument == NULL) {
		answer_error(command, "This command needs an argument, or is none");
	} else if (strcmp(command, "ready") == 0) {
		result_write(command, "result",
		             halyard_wait_ready(flags, (uint32_t)strtoul(argument, NULL, 10)));
	} else if (strcmp(command, "wait") == 0) {
		wait_for(command, strtoull(argument, NULL, 10), NULL,
		         rest != NULL ? strtol(rest, NULL, 10) : 10000);
	} else if (strcmp(command, "state") == 0) {
		wait_for(command, 0, argument, rest != NULL ? strtol(rest, NULL, 10) : 10000);
	} else if (strcmp(command, "unsubscribe") == 0) {
		halyard_unsubscribe(flags, strtoull(argument, NULL, 10));
		result_write(command, "id", (int64_t)strtoull(argument, NULL, 10));
	} else if (!key_command(command, argument, rest)) {
		answer_error(command, "There is no such command");
	}
	return true;
}

/* ---- Options ---- */

struct option {
	const char *name;
	const char **text;
	uint32_t *number;
};

static void options_parse(int argc, char **argv, struct halyard_options *options)
{
	const struct option known[] = {
		{ "--url", &options->url, NULL },
		{ "--token", &options->token, NULL },
		{ "--environment", &options->environment, NULL },
		{ "--cache-dir", &options->cache_dir, NULL },
		{ "--bootstrap", &options->bootstrap_file, NULL },
		{ "--public-key", &options->public_key, NULL },
		{ "--poll-ms", NULL, &options->poll_interval_ms },
		{ "--connect-ms", NULL, &options->connect_timeout_ms },
		{ "--silence-ms", NULL, &options->silence_timeout_ms },
		{ "--stale-ms", NULL, &options->stale_after_ms },
		{ "--telemetry-ms", NULL, &options->telemetry_interval_ms },
	};
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--poll-only") == 0) {
			options->disable_streaming = true;
			continue;
		}
		if (strcmp(argv[i], "--log") == 0) {
			options->log = on_log;
			continue;
		}
		size_t k = 0;
		while (k < sizeof(known) / sizeof(known[0]) && strcmp(argv[i], known[k].name) != 0) {
			k++;
		}
		if (k == sizeof(known) / sizeof(known[0]) || i + 1 == argc) {
			(void)fprintf(stderr, "client_probe: unknown option, or no value: %s\n", argv[i]);
			exit(2);
		}
		i++;
		if (known[k].text != NULL) {
			*known[k].text = argv[i];
		} else {
			*known[k].number = (uint32_t)strtoul(argv[i], NULL, 10);
		}
	}
}

int main(int argc, char **argv)
{
	struct halyard_options options = {
		.size = sizeof(options),
		.url = getenv("HALYARD_URL"),
		.token = getenv("HALYARD_TOKEN"),
		.environment = getenv("HALYARD_ENVIRONMENT"),
		.cache_dir = getenv("HALYARD_CACHE_DIR"),
	};
	options_parse(argc, argv, &options);
	int result = halyard_open(&flags, &options);
	struct answer answer;
	answer_begin(&answer, "event", "open");
	json_put_key_int64(&answer.w, "result", result);
	json_put_key_string(&answer.w, "error", halyard_open_error());
	json_put_key_string(&answer.w, "version", halyard_version());
	answer_end(&answer);
	if (result != HALYARD_OK) {
		return 1;
	}
	static char line[LINE_BYTES];
	while (fgets(line, sizeof(line), stdin) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0] != '\0' && !command_run(line)) {
			break;
		}
	}
	halyard_close(flags);
	return 0;
}
