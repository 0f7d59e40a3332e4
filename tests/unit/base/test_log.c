/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/base/document.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/utf8.h"

#define LINE_MAX_BYTES 4096
#define TOKEN          "hly_c_0123456789ABCDEFabcdef0123456789wxyz"

/* What was logged since the last look. */
static int log_fd = -1;
static char log_bytes[1 << 20];

static void log_to(int fd, bool is_json)
{
	log_setup(
	        &(struct log_options){ .service = "test", .level = LOG_DEBUG, .fd = fd, .is_json = is_json });
}

static const char *log_take(void)
{
	const ssize_t length = pread(log_fd, log_bytes, sizeof(log_bytes) - 1, 0);
	assert_true(length >= 0);
	log_bytes[length] = '\0';
	assert_int_equal(ftruncate(log_fd, 0), 0);
	assert_int_equal(lseek(log_fd, 0, SEEK_SET), 0);
	return log_bytes;
}

/* The one line that was logged, as JSON. */
static struct json log_take_line(struct document *document)
{
	const char *line = log_take();
	const size_t length = strlen(line);
	assert_true(length > 0 && length <= LINE_MAX_BYTES);
	assert_ptr_equal(strchr(line, '\n'), line + length - 1);
	return document_open(document, line);
}

static int setup(void **state)
{
	(void)state;
	log_fd = memfd_create("log", MFD_CLOEXEC);
	log_to(log_fd, true);
	return log_fd < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	return close(log_fd);
}

static void a_line_is_an_object(void **state)
{
	(void)state;
	struct document document;
	log_info("flag changed", LOG_STRING("flag", "a"), LOG_INT("revision", INT64_MIN),
	         LOG_BOOLEAN("ok", true), LOG_STRING("cause", NULL));
	struct json line = log_take_line(&document);
	static const char *const names[] = { "ts",   "level",    "service", "fn",   "msg",
		                             "flag", "revision", "ok",      "cause" };
	struct json name, value = JSON_NONE;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_true(json_next(line, &name, &value));
		assert_true(json_equals(name, names[i]));
	}
	assert_false(json_next(line, &name, &value));
	assert_true(json_equals(json_get(line, "level"), "info"));
	assert_true(json_equals(json_get(line, "service"), "test"));
	assert_true(json_equals(json_get(line, "fn"), "a_line_is_an_object"));
	assert_true(json_equals(json_get(line, "msg"), "flag changed"));
	assert_true(json_equals(json_get(line, "flag"), "a"));
	int64_t number = 0;
	assert_true(json_int64(json_get(line, "revision"), &number));
	assert_int_equal(number, INT64_MIN);
	assert_true(json_boolean(json_get(line, "ok")));
	assert_true(json_is(json_get(line, "cause"), JSON_NULL));
	char ts[CLOCK_RFC3339_SIZE];
	assert_true(json_string_copy(json_get(line, "ts"), ts, sizeof(ts)) < sizeof(ts));
	assert_true(clock_rfc3339_parse(ts, strlen(ts), &number));
	assert_in_range(clock_wall_ms(&clock_system) - number, 0, 60000);
	document_close(&document);
}

static void levels_are_filtered(void **state)
{
	(void)state;
	static const char *const names[] = { "debug", "info", "warn", "error" };
	for (int lowest = LOG_DEBUG; lowest <= LOG_ERROR; lowest++) {
		log_level_set((enum log_level)lowest);
		for (int level = LOG_DEBUG; level <= LOG_ERROR; level++) {
			log_write((enum log_level)level, "f", "m", NULL, 0);
			const char *line = log_take();
			assert_int_equal(line[0] != '\0', level >= lowest);
			assert_true(level < lowest || strstr(line, names[level]) != NULL);
		}
	}
	log_level_set(LOG_DEBUG);
	log_debug("d");
	log_warn("w");
	log_error("e");
	const char *lines = log_take();
	assert_true(strstr(lines, "debug") != NULL && strstr(lines, "warn") != NULL &&
	            strstr(lines, "error") != NULL);
}

// NOLINTBEGIN(misc-misleading-bidirectional): characters that must be escaped
static void nothing_forges_a_line(void **state)
{
	(void)state;
	static const char attack[] =
	        "x\"}\n{\"ts\":\"2026\",\"level\":\"info\",\"msg\":\"forged\"}\r\n\t\x1b[2K\x7f\x08"
	        "\xc2\x85\xc2\x9b\xe2\x80\xa8\xe2\x80\xae\xef\xbb\xbf\\";
	for (int is_json = 0; is_json < 2; is_json++) {
		log_json_set(is_json != 0);
		log_write(LOG_INFO, attack, attack,
		          (const struct log_field[]){ LOG_STRING("value", attack), LOG_STRING(attack, "v") },
		          2);
		const char *line = log_take();
		const size_t length = strlen(line);
		assert_ptr_equal(strchr(line, '\n'), line + length - 1);
		for (size_t i = 0; i + 1 < length; i++) {
			assert_true((unsigned char)line[i] >= 0x20 && line[i] != 0x7f);
		}
		assert_true(utf8_is_valid(line, length));
		assert_null(strstr(line, "\xc2\x85"));
		assert_null(strstr(line, "\xe2\x80\xa8"));
		assert_null(strstr(line, "\xe2\x80\xae"));
		if (is_json != 0) {
			struct document document;
			struct json root = document_open(&document, line);
			assert_int_equal(json_count(root), 7);
			assert_true(json_equals(json_get(root, "value"), attack));
			document_close(&document);
		}
	}
	log_json_set(true);
}
// NOLINTEND(misc-misleading-bidirectional)

static void invalid_utf8_is_replaced(void **state)
{
	(void)state;
	struct document document;
	log_info("a\xff"
	         "b\xed\xa0\x80",
	         LOG_STRING("cut", "\xf0\x9f\x9a"));
	struct json line = log_take_line(&document);
	assert_true(json_equals(json_get(line, "msg"), "a\xef\xbf\xbd"
	                                               "b\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"));
	assert_true(json_equals(json_get(line, "cut"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"));
	document_close(&document);
}

static void secrets_are_redacted_by_name(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		bool is_secret;
	} names[] = {
		{ "token", true },         { "api_token", true },      { "TokenValue", true },
		{ "client_secret", true }, { "PASSWORD", true },       { "db-password", true },
		{ "key_material", true },  { "Key-Material", true },   { "Authorization", true },
		{ "api_key", true },       { "X-API-Key", true },      { "apiKey", true },
		{ "key", false },          { "flag", false },          { "pass", false },
		{ "to_ken", true },        { "authorisation", false },
	};
	static const char secret[] = "correct-horse-battery-stapl\xc3\xa9 1";
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct document document;
		log_write(LOG_INFO, "f", "m", &LOG_STRING(names[i].name, secret), 1);
		struct json value = json_get(log_take_line(&document), names[i].name);
		if (!json_equals(value, names[i].is_secret ? "[redacted \xe2\x80\xa6l\xc3\xa9 1]" : secret)) {
			fail_msg("%s", names[i].name);
		}
		document_close(&document);
		log_write(LOG_INFO, "f", "m", &LOG_INT(names[i].name, 123456), 1);
		value = json_get(log_take_line(&document), names[i].name);
		assert_int_equal(json_equals(value, "[redacted]"), names[i].is_secret);
		document_close(&document);
	}
}

static void short_secrets_show_nothing(void **state)
{
	(void)state;
	static const struct {
		const char *secret, *shown;
	} secrets[] = {
		{ "", "[redacted]" },
		{ "a", "[redacted]" },
		{ "0123456789abcde", "[redacted]" },
		{ "0123456789abcdef", "[redacted \xe2\x80\xa6"
		                      "cdef]" },
		{ "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4", "[redacted]" },
		{ "0123456789ab\"\n\\\xff", "[redacted \xe2\x80\xa6\"\n\\\xef\xbf\xbd]" },
	};
	for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
		struct document document;
		log_info("m", LOG_STRING("password", secrets[i].secret));
		assert_true(json_equals(json_get(log_take_line(&document), "password"), secrets[i].shown));
		document_close(&document);
	}
	struct document document;
	log_info("m", LOG_STRING("password", NULL));
	assert_true(json_is(json_get(log_take_line(&document), "password"), JSON_NULL));
	document_close(&document);
}

static void tokens_are_redacted_in_any_text(void **state)
{
	(void)state;
	for (int is_json = 0; is_json < 2; is_json++) {
		log_json_set(is_json != 0);
		log_write(LOG_ERROR, TOKEN, "Bearer " TOKEN "," TOKEN ";hly_x",
		          (const struct log_field[]){ LOG_STRING("url", "http://x/?t=" TOKEN "&a=b"),
		                                      LOG_STRING("x" TOKEN, "v"),
		                                      LOG_STRING("plain", "ahly_" TOKEN) },
		          3);
		const char *line = log_take();
		assert_null(strstr(line, "hly_"));
		assert_null(strstr(line, "0123456789"));
		assert_non_null(strstr(
		        line, "Bearer [redacted \xe2\x80\xa6wxyz],[redacted \xe2\x80\xa6wxyz];[redacted]"));
		assert_non_null(strstr(line, "http://x/?t=[redacted \xe2\x80\xa6wxyz]&a=b"));
	}
	log_json_set(true);
}

/* However the token lies to the place where a long value is cut, none of it is shown. */
static void tokens_are_redacted_where_lines_are_cut(void **state)
{
	(void)state;
	char text[6000];
	for (size_t at = 3700; at < 4100; at += 3) {
		struct document document;
		memset(text, 'x', sizeof(text));
		memcpy(text + at, TOKEN, sizeof(TOKEN) - 1);
		text[sizeof(text) - 1] = '\0';
		log_info("m", LOG_STRING("text", text));
		(void)log_take_line(&document);
		assert_null(strstr(log_bytes, "hly"));
		assert_null(strstr(log_bytes, "0123"));
		document_close(&document);
	}
}

static void the_longest_values_are_cut(void **state)
{
	(void)state;
	char longest[10000];
	char shorter[3001];
	struct document document;
	memset(longest, '"', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	for (size_t i = 0; i < sizeof(shorter) - 1; i += 3) {
		memcpy(shorter + i, "\xe2\x82\xac", 3);
	}
	shorter[sizeof(shorter) - 1] = '\0';
	log_info("short message", LOG_STRING("a", longest), LOG_STRING("b", "short"),
	         LOG_STRING("c", shorter));
	struct json line = log_take_line(&document);
	assert_true(strlen(log_bytes) > LINE_MAX_BYTES - 16);
	assert_true(json_equals(json_get(line, "msg"), "short message"));
	assert_true(json_equals(json_get(line, "b"), "short"));
	size_t length_a, length_c;
	const char *a = json_raw(json_get(line, "a"), &length_a);
	const char *c = json_raw(json_get(line, "c"), &length_c);
	assert_true(length_a > 1900 && length_a < length_c + 4 && length_c < length_a + 4);
	assert_memory_equal(a + length_a - 4, "\xe2\x80\xa6\"", 4);
	assert_memory_equal(c + length_c - 4, "\xe2\x80\xa6\"", 4);
	document_close(&document);
	log_info(longest);
	(void)log_take_line(&document);
	document_close(&document);
}

static void too_many_fields_are_counted(void **state)
{
	(void)state;
	struct log_field fields[500];
	static const size_t counts[] = { 64, 65, 500 };
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		fields[i] = LOG_STRING("a_name_that_is_fifty_characters_long_or_thereabouts",
		                       "a value that is long, too");
	}
	fields[0] = LOG_STRING("first", "1");
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		int64_t left_out = 0;
		log_write(LOG_INFO, "f", "m", fields, counts[i]);
		const char *line = log_take();
		assert_true(strlen(line) <= LINE_MAX_BYTES && line[strlen(line) - 1] == '\n');
		assert_non_null(strstr(line, "\"first\":\"1\""));
		const char *at = strstr(line, "\"fields_left_out\":");
		assert_non_null(at);
		left_out = strtoll(at + 18, NULL, 10);
		assert_in_range(left_out, counts[i] - 64, counts[i] - 10);
	}
}

static void readable_text(void **state)
{
	(void)state;
	log_json_set(false);
	log_warn("disk nearly full", LOG_STRING("path", "/a b"), LOG_INT("free", 7), LOG_BOOLEAN("ok", false),
	         LOG_STRING("none", NULL), LOG_STRING("token", "x"));
	const char *line = log_take();
	assert_non_null(strstr(
	        line, "Z warn test readable_text: disk nearly full path=\"/a b\" free=7 ok=false none=null "
	              "token=\"[redacted]\"\n"));
	int64_t unix_ms = 0;
	assert_true(clock_rfc3339_parse(line, 24, &unix_ms));
	log_json_set(true);
}

enum { THREADS = 4, LINES = 300 };

static void *write_lines(void *argument)
{
	for (int i = 0; i < LINES; i++) {
		log_info("from a thread", LOG_INT("thread", *(int *)argument), LOG_INT("line", i),
		         LOG_STRING("filler", "0123456789012345678901234567890123456789"));
	}
	return NULL;
}

static void threads_do_not_mix_lines(void **state)
{
	(void)state;
	pthread_t threads[THREADS];
	int numbers[THREADS];
	int64_t next[THREADS] = { 0 };
	for (int i = 0; i < THREADS; i++) {
		numbers[i] = i;
		assert_int_equal(pthread_create(&threads[i], NULL, write_lines, &numbers[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	}
	int count = 0;
	const char *line = log_take();
	for (const char *end = strchr(line, '\n'); end != NULL; line = end + 1, end = strchr(line, '\n')) {
		struct document document;
		int64_t thread = -1, number = -1;
		document_parse(&document, line, (size_t)(end - line));
		assert_int_equal(document.status, STATUS_OK);
		assert_true(json_int64(json_get(json_root(&document.doc), "thread"), &thread));
		assert_true(json_int64(json_get(json_root(&document.doc), "line"), &number));
		assert_in_range(thread, 0, THREADS - 1);
		assert_int_equal(number, next[thread]++);
		document_close(&document);
		count++;
	}
	assert_int_equal(count, THREADS * LINES);
}

static int64_t lines_lost(void)
{
	struct document document;
	int64_t lost = 0;
	(void)json_int64(json_get(log_take_line(&document), "lines_lost"), &lost);
	document_close(&document);
	return lost;
}

/* No SIGPIPE reaches the program, which does not ignore it, and errno is as before. */
static void a_reader_that_is_gone(void **state)
{
	(void)state;
	int ends[2];
	assert_int_equal(pipe(ends), 0);
	(void)close(ends[0]);
	log_to(ends[1], true);
	errno = 4711;
	log_info("into nothing");
	log_info("into nothing");
	assert_int_equal(errno, 4711);
	log_to(-1, true);
	log_info("nowhere");
	log_to(ends[1] + 100, true);
	log_info("nowhere");
	log_to(log_fd, true);
	log_info("back");
	assert_int_equal(lines_lost(), 4);
	log_info("and again");
	assert_int_equal(lines_lost(), 0);
	(void)close(ends[1]);
}

static volatile sig_atomic_t pipe_signals;

static void count_pipe_signal(int number)
{
	(void)number;
	pipe_signals++;
}

/* A SIGPIPE of somebody else that is pending stays pending. */
static void pending_signals_are_left_alone(void **state)
{
	(void)state;
	int ends[2];
	sigset_t set, previous;
	struct sigaction action = { .sa_handler = count_pipe_signal };
	struct sigaction old;
	assert_int_equal(sigaction(SIGPIPE, &action, &old), 0);
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGPIPE);
	assert_int_equal(pthread_sigmask(SIG_BLOCK, &set, &previous), 0);
	assert_int_equal(pthread_kill(pthread_self(), SIGPIPE), 0);
	assert_int_equal(pipe(ends), 0);
	(void)close(ends[0]);
	log_to(ends[1], true);
	log_info("into nothing");
	assert_int_equal(pipe_signals, 0);
	assert_int_equal(pthread_sigmask(SIG_SETMASK, &previous, NULL), 0);
	assert_int_equal(pipe_signals, 1);
	log_info("into nothing");
	assert_int_equal(pipe_signals, 1);
	assert_int_equal(sigaction(SIGPIPE, &old, NULL), 0);
	log_to(log_fd, true);
	log_info("back");
	assert_int_equal(lines_lost(), 2);
	(void)close(ends[1]);
}

/* A reader that does not read costs one short wait and then lines, not the program's time. */
static void a_reader_that_does_not_read(void **state)
{
	(void)state;
	int ends[2];
	char filler[3900];
	memset(filler, 'x', sizeof(filler) - 1);
	filler[sizeof(filler) - 1] = '\0';
	assert_int_equal(pipe(ends), 0);
	assert_true(fcntl(ends[1], F_SETPIPE_SZ, 8192) >= 8192);
	log_to(ends[1], true);
	const int64_t start_ms = clock_monotonic_ms(&clock_system);
	for (int i = 0; i < 200; i++) {
		log_info(filler);
	}
	assert_in_range(clock_monotonic_ms(&clock_system) - start_ms, 0, 10000);
	/* Read what fits; the next line comes through and says how many did not. */
	assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
	ssize_t length, total = 0;
	while ((length = read(ends[0], log_bytes, sizeof(log_bytes))) > 0) {
		total += length;
		assert_int_equal(log_bytes[length - 1], '\n');
	}
	assert_true(total > 0);
	log_info("back");
	length = read(ends[0], log_bytes, sizeof(log_bytes) - 1);
	assert_true(length > 0);
	log_bytes[length] = '\0';
	struct document document;
	int64_t lost = 0;
	assert_true(json_int64(json_get(document_open(&document, log_bytes), "lines_lost"), &lost));
	assert_in_range(lost, 190, 199);
	document_close(&document);
	log_to(log_fd, true);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

/* A disk that fills up in the middle of a line leaves a part; the next line does not join it. */
static void a_torn_line_is_ended(void **state)
{
	(void)state;
	struct rlimit unlimited, tight;
	char path[] = "/tmp/halyard-log-XXXXXX";
	const int fd = mkstemp(path);
	assert_true(fd >= 0);
	(void)unlink(path);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &unlimited), 0);
	tight = unlimited;
	tight.rlim_cur = 50;
	const sighandler_t old = signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
	log_to(fd, true);
	log_info("this line does not fit into the file");
	log_info("nor does this one");
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &unlimited), 0);
	log_info("but this one does");
	(void)signal(SIGXFSZ, old);
	log_to(log_fd, true);
	const ssize_t length = pread(fd, log_bytes, sizeof(log_bytes) - 1, 0);
	assert_true(length > 50);
	log_bytes[length] = '\0';
	assert_int_equal(log_bytes[50], '\n');
	struct document document;
	int64_t lost = 0;
	struct json line = document_open(&document, log_bytes + 51);
	assert_true(json_equals(json_get(line, "msg"), "but this one does"));
	assert_true(json_int64(json_get(line, "lines_lost"), &lost));
	assert_int_equal(lost, 2);
	document_close(&document);
	(void)close(fd);
}

static void null_texts_are_empty(void **state)
{
	(void)state;
	struct document document;
	log_write(LOG_INFO, NULL, NULL, NULL, 0);
	struct json line = log_take_line(&document);
	assert_true(json_equals(json_get(line, "msg"), ""));
	assert_true(json_equals(json_get(line, "fn"), ""));
	document_close(&document);
	log_setup(&(struct log_options){ .level = LOG_INFO, .fd = log_fd, .is_json = true });
	log_info("m");
	assert_true(json_equals(json_get(log_take_line(&document), "service"), ""));
	document_close(&document);
	log_to(log_fd, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_is_an_object),
		cmocka_unit_test(levels_are_filtered),
		cmocka_unit_test(nothing_forges_a_line),
		cmocka_unit_test(invalid_utf8_is_replaced),
		cmocka_unit_test(secrets_are_redacted_by_name),
		cmocka_unit_test(short_secrets_show_nothing),
		cmocka_unit_test(tokens_are_redacted_in_any_text),
		cmocka_unit_test(tokens_are_redacted_where_lines_are_cut),
		cmocka_unit_test(the_longest_values_are_cut),
		cmocka_unit_test(too_many_fields_are_counted),
		cmocka_unit_test(readable_text),
		cmocka_unit_test(threads_do_not_mix_lines),
		cmocka_unit_test(a_reader_that_is_gone),
		cmocka_unit_test(pending_signals_are_left_alone),
		cmocka_unit_test(a_reader_that_does_not_read),
		cmocka_unit_test(a_torn_line_is_ended),
		cmocka_unit_test(null_texts_are_empty),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
