/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"

#define MAX_WORDS 40

/* Reads a command line and an environment given as NULL-terminated lists. */
static enum status lists_read(const char *const *arguments, const char *const *variables, struct config *ret,
                              enum config_action *action, struct error *err)
{
	char *argv[MAX_WORDS] = { (char *)"flagd" }, *envp[MAX_WORDS] = { 0 };
	int argc = 1;
	for (; arguments != NULL && arguments[argc - 1] != NULL; argc++) {
		argv[argc] = (char *)arguments[argc - 1];
	}
	for (size_t i = 0; variables != NULL && variables[i] != NULL; i++) {
		envp[i] = (char *)variables[i];
	}
	return config_read(argc, argv, envp, ret, action, err);
}

#define LIST(...) ((const char *const[]){ __VA_ARGS__, NULL })

static struct config good(const char *const *arguments, const char *const *variables)
{
	struct config config = { 0 };
	enum config_action action = CONFIG_HELP;
	struct error err = ERROR_INIT;
	if (lists_read(arguments, variables, &config, &action, &err) != STATUS_OK) {
		fail_msg("%s", err.message);
	}
	assert_int_equal(action, CONFIG_RUN);
	return config;
}

static void refused(const char *const *arguments, const char *const *variables, const char *sentence)
{
	struct config config = { .port = 77 };
	enum config_action action = CONFIG_VERSION;
	struct error err = ERROR_INIT;
	assert_int_equal(lists_read(arguments, variables, &config, &action, &err), STATUS_INVALID);
	assert_string_equal(err.message, sentence);
	assert_int_equal(err.status, STATUS_INVALID);
	assert_int_equal(config.port, 77);
	assert_null(config.data);
	assert_int_equal(action, CONFIG_VERSION);
	assert_int_equal(lists_read(arguments, variables, &config, &action, NULL), STATUS_INVALID);
}

static void nothing_given_is_the_defaults(void **state)
{
	(void)state;
	struct config config = good(NULL, NULL);
	assert_string_equal(config.data, "./halyard-data");
	assert_string_equal(config.listen, "127.0.0.1:8016");
	assert_string_equal(config.address, "127.0.0.1");
	assert_int_equal(config.port, 8016);
	assert_string_equal(config.public_url, "");
	assert_string_equal(config.log_level, "info");
	assert_string_equal(config.log_format, "json");
	assert_int_equal(config.api_threads, 2);
	assert_int_equal(config.snapshot_max_age_s, 86400);
	config_deinit(&config);
	config_deinit(&config);
	assert_null(config.data);
}

static void both_forms_of_an_option_are_taken(void **state)
{
	(void)state;
	struct config config = good(LIST("--data", "/srv/a=b", "--max-connections=500", "--log-level",
	                                 "debug", "--public-url=https://flags.example.com/halyard//"),
	                            NULL);
	assert_string_equal(config.data, "/srv/a=b");
	assert_int_equal(config.max_connections, 500);
	assert_string_equal(config.log_level, "debug");
	assert_string_equal(config.public_url, "https://flags.example.com/halyard");
	config_deinit(&config);
}

static void command_line_wins_over_environment(void **state)
{
	(void)state;
	struct config config =
	        good(LIST("--api-threads", "3"), LIST("HALYARD_API_THREADS=4", "HALYARD_DATA=/srv/flags",
	                                              "HALYARD_PUBLIC_URL=", "HALYARD_TOKEN=x", "PATH=/bin",
	                                              "HALYARDX=1", "HALYARD_WITHOUT_EQUALS"));
	assert_int_equal(config.api_threads, 3);
	assert_string_equal(config.data, "/srv/flags");
	assert_string_equal(config.public_url, "");
	config_deinit(&config);
}

static void help_and_version_come_first(void **state)
{
	(void)state;
	static const struct {
		const char *argument;
		enum config_action action;
	} cases[] = { { "--help", CONFIG_HELP }, { "-h", CONFIG_HELP }, { "--version", CONFIG_VERSION } };
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct config config = { .port = 77 };
		enum config_action action = CONFIG_RUN;
		assert_int_equal(lists_read(LIST("--data", "/x", cases[i].argument, "--nonsense"),
		                            LIST("HALYARD_NONSENSE=1"), &config, &action, NULL),
		                 STATUS_OK);
		assert_int_equal(action, cases[i].action);
		assert_int_equal(config.port, 77);
		assert_null(config.data);
	}
}

static void typos_get_a_suggestion(void **state)
{
	(void)state;
	refused(LIST("--max-conections", "5"), NULL,
	        "There is no option --max-conections; did you mean --max-connections?");
	refused(LIST("--lisetn=x"), NULL, "There is no option --lisetn; did you mean --listen?");
	refused(LIST("--API_threads", "1"), NULL,
	        "There is no option --API_threads; did you mean --api-threads?");
	refused(LIST("--xyzzy", "1"), NULL, "There is no option --xyzzy; flagd --help lists them");
	refused(NULL, LIST("HALYARD_LOGLEVEL=info"),
	        "There is no environment variable HALYARD_LOGLEVEL; did you mean HALYARD_LOG_LEVEL?");
	refused(NULL, LIST("HALYARD_=x"),
	        "There is no environment variable HALYARD_; flagd --help lists them");
	refused(LIST("--this-name-is-much-longer-than-any-option-that-flagd-ever-had-or-will-have", "1"),
	        NULL,
	        "There is no option --this-name-is-much-longer-than-any-option-that-f; flagd --help lists "
	        "them");
}

static void malformed_command_lines_are_refused(void **state)
{
	(void)state;
	refused(LIST("--data"), NULL, "--data needs a value");
	refused(LIST("--data", "a", "--data=b"), NULL, "--data stands twice");
	refused(LIST("serve"), NULL, "flagd takes no argument such as \"serve\"; options are --name value");
	refused(LIST("--", "x"), NULL, "flagd takes no argument such as \"--\"; options are --name value");
	refused(LIST("-d", "x"), NULL, "flagd takes no argument such as \"-d\"; options are --name value");
	refused(LIST("--=x"), NULL, "There is no option --; flagd --help lists them");
}

static void numbers_are_checked(void **state)
{
	(void)state;
	static const char *const wrong[] = { "0",
		                             "17",
		                             "-1",
		                             "+2",
		                             "2.0",
		                             "1e1",
		                             "0x2",
		                             " 2",
		                             "2 ",
		                             "",
		                             "two",
		                             "02",
		                             "18446744073709551618",
		                             "99999999999999999999999999" };
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		char sentence[128];
		(void)snprintf(sentence, sizeof(sentence),
		               "--api-threads must be a whole number from 1 to 16, not \"%s\"", wrong[i]);
		refused(LIST("--api-threads", wrong[i]), NULL, sentence);
	}
	refused(NULL, LIST("HALYARD_API_THREADS=17"),
	        "HALYARD_API_THREADS must be a whole number from 1 to 16, not \"17\"");
	struct config config =
	        good(LIST("--api-threads=1", "--shutdown-grace-ms=0", "--max-connections=1000000"), NULL);
	assert_int_equal(config.api_threads, 1);
	assert_int_equal(config.shutdown_grace_ms, 0);
	assert_int_equal(config.max_connections, 1000000);
	config_deinit(&config);
}

static void strings_and_choices_are_checked(void **state)
{
	(void)state;
	static char long_path[4100];
	memset(long_path, 'a', sizeof(long_path) - 1);
	refused(LIST("--data", ""), NULL, "--data must not be empty");
	refused(LIST("--data=a\nb"), NULL, "--data must not hold control characters");
	refused(LIST("--data", long_path), NULL, "--data must have 1 to 4000 bytes and has 4099");
	refused(LIST("--log-level", "warning"), NULL,
	        "--log-level must be one of debug, info, warn, error, not \"warning\"");
	refused(LIST("--log-level="), NULL, "--log-level must be one of debug, info, warn, error, not \"\"");
	refused(LIST("--log-format", "json|text"), NULL,
	        "--log-format must be one of json, text, not \"json|text\"");
}

static void listen_takes_numeric_addresses(void **state)
{
	(void)state;
	static const struct {
		const char *listen, *address;
		uint16_t port;
	} cases[] = {
		{ "[::1]:8016", "::1", 8016 },
		{ "[::]:0", "::", 0 },
		{ "0.0.0.0:65535", "0.0.0.0", 65535 },
		{ "[2001:db8::7]:1", "2001:db8::7", 1 },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct config config = good(LIST("--listen", cases[i].listen), NULL);
		assert_string_equal(config.address, cases[i].address);
		assert_int_equal(config.port, cases[i].port);
		config_deinit(&config);
	}
}

static void other_listen_forms_are_refused(void **state)
{
	(void)state;
	static const char *const no_address[] = { ":8016", "[]:8016" };
	for (size_t i = 0; i < sizeof(no_address) / sizeof(no_address[0]); i++) {
		refused(LIST("--listen", no_address[i]), NULL,
		        "--listen must name an address, such as 127.0.0.1:8016, or 0.0.0.0:8016 for every "
		        "IPv4 "
		        "interface");
	}
	static const char *const no_pair[] = { "8016",      "127.0.0.1", "::1:8016", "[::1]",       "[::1",
		                               "[::1]8016", "::",        "1:2:3",    "[::1]:8016:1" };
	for (size_t i = 0; i < sizeof(no_pair) / sizeof(no_pair[0]); i++) {
		char sentence[160];
		(void)snprintf(sentence, sizeof(sentence),
		               "HALYARD_LISTEN must be an address and a port, such as 127.0.0.1:8016 or "
		               "[::1]:8016, not \"%s\"",
		               no_pair[i]);
		char variable[64];
		(void)snprintf(variable, sizeof(variable), "HALYARD_LISTEN=%s", no_pair[i]);
		refused(NULL, LIST(variable), sentence);
	}
	static const char *const ports[] = { "65536", "-1", "", "http", "08016", "99999999999999999999999" };
	for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
		char sentence[160], listen[64];
		(void)snprintf(sentence, sizeof(sentence),
		               "The port of --listen must be a number from 0 to 65535, not \"%s\"", ports[i]);
		(void)snprintf(listen, sizeof(listen), "127.0.0.1:%s", ports[i]);
		refused(LIST("--listen", listen), NULL, sentence);
	}
	refused(LIST("--listen", "localhost:8016"), NULL,
	        "\"localhost\" in --listen is not a numeric IPv4 address; names are not looked up");
	refused(LIST("--listen", "[127.0.0.1]:8016"), NULL,
	        "\"127.0.0.1\" in --listen is not a numeric IPv6 address; names are not looked up");
	refused(LIST("--listen", "127.1:8016"), NULL,
	        "\"127.1\" in --listen is not a numeric IPv4 address; names are not looked up");
}

static void public_url_must_be_an_origin_and_path(void **state)
{
	(void)state;
	static const char *const wrong[] = { "flags.example.com", "ftp://x",    "https://",   "https:///x",
		                             "https://:80",       "http://a?b", "http://a#b", "http://u@a",
		                             "http://a b",        "HTTP://a" };
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		char sentence[200];
		(void)snprintf(
		        sentence, sizeof(sentence),
		        "--public-url must be like https://flags.example.com, without query, fragment and "
		        "user, not \"%s\"",
		        wrong[i]);
		refused(LIST("--public-url", wrong[i]), NULL, sentence);
	}
}

static void texts_name_every_setting(void **state)
{
	(void)state;
	struct buf help, markdown;
	buf_init(&help, 65536);
	buf_init(&markdown, 65536);
	config_help(&help);
	config_markdown(&markdown);
	static const char *const fields[] = {
#define FIELD(field, kind, fallback, min, max, unit, text) #field,
		CONFIG_TABLE(FIELD)
#undef FIELD
	};
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		char option[64] = "--", variable[64] = "HALYARD_";
		for (size_t at = 0; fields[i][at] != '\0'; at++) {
			const char c = fields[i][at];
			option[2 + at] = c == '_' ? '-' : c;
			variable[8 + at] = c == '_' ? '_' : (char)(c - 'a' + 'A');
		}
		assert_non_null(strstr(buf_string(&help), option));
		assert_non_null(strstr(buf_string(&markdown), option));
		assert_non_null(strstr(buf_string(&markdown), variable));
	}
	assert_non_null(strstr(buf_string(&markdown), "debug, info, warn or error"));
	assert_false(help.failed || markdown.failed);
	buf_deinit(&help);
	buf_deinit(&markdown);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_given_is_the_defaults),
		cmocka_unit_test(both_forms_of_an_option_are_taken),
		cmocka_unit_test(command_line_wins_over_environment),
		cmocka_unit_test(help_and_version_come_first),
		cmocka_unit_test(typos_get_a_suggestion),
		cmocka_unit_test(malformed_command_lines_are_refused),
		cmocka_unit_test(numbers_are_checked),
		cmocka_unit_test(strings_and_choices_are_checked),
		cmocka_unit_test(listen_takes_numeric_addresses),
		cmocka_unit_test(other_listen_forms_are_refused),
		cmocka_unit_test(public_url_must_be_an_origin_and_path),
		cmocka_unit_test(texts_name_every_setting),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
