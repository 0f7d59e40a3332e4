/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/config.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

#define VARIABLE_PREFIX "HALYARD_"
#define NAME_SIZE       48 /* of an option or variable, dashes or prefix included */

enum kind { KIND_STRING, KIND_CHOICE, KIND_NUMBER };

struct row {
	const char *name;
	enum kind kind;
	size_t offset;
	const char *fallback;
	uint64_t min, max;
	const char *unit; /* the words of a choice, separated by '|' */
	const char *text;
};

#define FALLBACK_STRING(value) (value)
#define FALLBACK_CHOICE(value) (value)
#define FALLBACK_NUMBER(value) #value

static const struct row rows[] = {
#define CONFIG_ROW(field, kind, fallback, min, max, unit, text)                                         \
	{ #field, KIND_##kind, offsetof(struct config, field), FALLBACK_##kind(fallback), (min), (max), \
	  (unit), (text) },
	CONFIG_TABLE(CONFIG_ROW)
#undef CONFIG_ROW
};

#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))

/* Where a value came from, for messages: "--listen", "HALYARD_LISTEN". */
struct setting {
	const char *value;
	char source[NAME_SIZE];
};

static void name_translate(char *out, const char *prefix, const char *name, char from, char to, bool upper)
{
	size_t length = strlen(prefix);
	memcpy(out, prefix, length);
	for (; *name != '\0' && length + 1 < NAME_SIZE; name++) {
		const char c = *name == from ? to : *name;
		out[length++] = upper && c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
	}
	out[length] = '\0';
}

static void option_name(const struct row *row, char out[static NAME_SIZE])
{
	name_translate(out, "--", row->name, '_', '-', false);
}

static void variable_name(const struct row *row, char out[static NAME_SIZE])
{
	name_translate(out, VARIABLE_PREFIX, row->name, '_', '_', true);
}

/* ---- Unknown names ---- */

#define DISTANCE_MAX_LENGTH 48

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	const unsigned least = a < b ? a : b;
	return least < c ? least : c;
}

/* Insertions, deletions, substitutions and swaps of neighbours that turn @a into @b. */
static unsigned edit_distance(const char *a, const char *b)
{
	const size_t a_length = strlen(a), b_length = strlen(b);
	unsigned cells[3][DISTANCE_MAX_LENGTH + 1];
	unsigned *older = cells[0], *old = cells[1], *now = cells[2];
	if (a_length > DISTANCE_MAX_LENGTH || b_length > DISTANCE_MAX_LENGTH) {
		return UINT32_MAX;
	}
	for (unsigned j = 0; j <= b_length; j++) {
		older[j] = 0;
		old[j] = j;
	}
	for (unsigned i = 1; i <= a_length; i++) {
		now[0] = i;
		for (unsigned j = 1; j <= b_length; j++) {
			// NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): i <= strlen(a)
			now[j] = min3(old[j] + 1, now[j - 1] + 1, old[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
				now[j] = min3(now[j], older[j - 2] + 1, UINT32_MAX);
			}
		}
		unsigned *const spare = older;
		older = old;
		old = now;
		now = spare;
	}
	return old[b_length];
}

/* @given without dashes or prefix, in any case and with '-' or '_'. NULL: nothing is near enough. */
static const struct row *nearest_find(const char *given)
{
	char folded[NAME_SIZE];
	size_t length = 0;
	for (; given[length] != '\0' && length + 1 < sizeof(folded); length++) {
		const char c = given[length];
		folded[length] = c == '-' ? '_' : c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
	}
	folded[length] = '\0';
	const struct row *nearest = NULL;
	unsigned least = (unsigned)length / 3 + 1;
	for (size_t i = 0; i < ROW_COUNT; i++) {
		const unsigned distance = edit_distance(folded, rows[i].name);
		if (distance < least) {
			least = distance;
			nearest = &rows[i];
		}
	}
	return nearest;
}

static enum status unknown_fail(const char *what, const char *prefix, const char *given, size_t given_length,
                                struct error *err)
{
	char name[NAME_SIZE], hint[NAME_SIZE + 32] = "flagd --help lists them";
	(void)snprintf(name, sizeof(name), "%.*s", (int)given_length, given);
	const struct row *nearest = nearest_find(name);
	if (nearest != NULL) {
		char correct[NAME_SIZE];
		if (prefix[0] == '-') {
			option_name(nearest, correct);
		} else {
			variable_name(nearest, correct);
		}
		(void)snprintf(hint, sizeof(hint), "did you mean %s?", correct);
	}
	return error_fail(err, STATUS_INVALID, "There is no %s %s%s; %s", what, prefix, name, hint);
}

/* ---- Values ---- */

static bool word_is_in(const char *words, const char *value)
{
	const size_t length = strlen(value);
	while (length > 0) {
		const size_t word = strcspn(words, "|");
		if (word == length && memcmp(words, value, length) == 0) {
			return true;
		}
		if (words[word] == '\0') {
			break;
		}
		words += word + 1;
	}
	return false;
}

/* Decimal digits without sign or leading zeros. */
static bool number_parse(const char *text, uint64_t max, uint64_t *ret)
{
	uint64_t value = 0;
	if (text[0] == '\0' || (text[0] == '0' && text[1] != '\0')) {
		return false;
	}
	for (; *text != '\0'; text++) {
		const uint64_t digit = (uint64_t)(unsigned char)*text - '0';
		if (digit > 9 || digit > max || value > (max - digit) / 10) {
			return false;
		}
		value = value * 10 + digit;
	}
	*ret = value;
	return true;
}

static enum status string_check(const struct row *row, const struct setting *setting, struct error *err)
{
	const size_t length = strlen(setting->value);
	if (length == 0 && row->min > 0) {
		return error_fail(err, STATUS_INVALID, "%s must not be empty", setting->source);
	}
	if (length < row->min || length > row->max) {
		return error_fail(err, STATUS_INVALID, "%s must have %llu to %llu bytes and has %zu",
		                  setting->source, (unsigned long long)row->min, (unsigned long long)row->max,
		                  length);
	}
	for (size_t i = 0; i < length; i++) {
		const unsigned char c = (unsigned char)setting->value[i];
		if (c < ' ' || c == 0x7f) {
			return error_fail(err, STATUS_INVALID, "%s must not hold control characters",
			                  setting->source);
		}
	}
	return STATUS_OK;
}

static enum status choice_fail(const struct row *row, const struct setting *setting, struct error *err)
{
	char words[128];
	size_t length = 0;
	for (const char *c = row->unit; *c != '\0' && length + 3 < sizeof(words); c++) {
		words[length++] = *c == '|' ? ',' : *c;
		if (*c == '|') {
			words[length++] = ' ';
		}
	}
	words[length] = '\0';
	return error_fail(err, STATUS_INVALID, "%s must be one of %s, not \"%.40s\"", setting->source, words,
	                  setting->value);
}

/* Checks the value and stores it in the row's member. */
static enum status value_store(const struct row *row, const struct setting *setting, struct config *config,
                               struct error *err)
{
	void *const member = (char *)config + row->offset;
	enum status status = STATUS_OK;
	switch (row->kind) {
	case KIND_NUMBER:
		if (!number_parse(setting->value, row->max, member) || *(uint64_t *)member < row->min) {
			return error_fail(err, STATUS_INVALID,
			                  "%s must be a whole number from %llu to %llu, not \"%.40s\"",
			                  setting->source, (unsigned long long)row->min,
			                  (unsigned long long)row->max, setting->value);
		}
		return STATUS_OK;
	case KIND_CHOICE:
		if (!word_is_in(row->unit, setting->value)) {
			return choice_fail(row, setting, err);
		}
		break;
	case KIND_STRING:
		status = string_check(row, setting, err);
		if (status != STATUS_OK) {
			return status;
		}
		break;
	}
	char *const copy = strdup(setting->value);
	if (copy == NULL) {
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory while reading the configuration");
	}
	*(char **)member = copy;
	return STATUS_OK;
}

/* ---- Members with a form of their own ---- */

/* Splits "127.0.0.1:8016" or "[::1]:8016". */
static enum status listen_split(struct config *config, const char *source, struct error *err)
{
	const char *const listen = config->listen;
	const bool is_v6 = listen[0] == '[';
	const char *const host = listen + is_v6;
	const char *const host_end = is_v6 ? strchr(host, ']') : strchr(host, ':');
	const char *const colon = host_end == NULL ? NULL : host_end + is_v6;
	unsigned char address[sizeof(struct in6_addr)];
	uint64_t port = 0;
	if (colon == NULL || *colon != ':' || strchr(colon + 1, ':') != NULL) {
		return error_fail(
		        err, STATUS_INVALID,
		        "%s must be an address and a port, such as 127.0.0.1:8016 or [::1]:8016, not "
		        "\"%.60s\"",
		        source, listen);
	}
	if (host_end == host) {
		return error_fail(
		        err, STATUS_INVALID,
		        "%s must name an address, such as 127.0.0.1:8016, or 0.0.0.0:8016 for every "
		        "IPv4 interface",
		        source);
	}
	if (!number_parse(colon + 1, UINT16_MAX, &port)) {
		return error_fail(err, STATUS_INVALID,
		                  "The port of %s must be a number from 0 to 65535, not \"%.40s\"", source,
		                  colon + 1);
	}
	char *const text = strndup(host, (size_t)(host_end - host));
	if (text == NULL) {
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory while reading the configuration");
	}
	config->address = text;
	config->port = (uint16_t)port;
	if (inet_pton(is_v6 ? AF_INET6 : AF_INET, text, address) != 1) {
		return error_fail(err, STATUS_INVALID,
		                  "\"%.60s\" in %s is not a numeric IPv%c address; names are not looked up",
		                  text, source, is_v6 ? '6' : '4');
	}
	return STATUS_OK;
}

/* Empty, or an origin with or without a path; ends without a slash afterwards. */
static enum status public_url_settle(struct config *config, const char *source, struct error *err)
{
	char *const url = config->public_url;
	size_t length = strlen(url);
	if (length == 0) {
		return STATUS_OK;
	}
	const size_t scheme = strncmp(url, "https://", 8) == 0 ? 8 : strncmp(url, "http://", 7) == 0 ? 7 : 0;
	if (scheme == 0 || strchr("/:", url[scheme]) != NULL || strpbrk(url, "?#@\\\"<> ") != NULL) {
		return error_fail(
		        err, STATUS_INVALID,
		        "%s must be like https://flags.example.com, without query, fragment and user, not "
		        "\"%.80s\"",
		        source, url);
	}
	while (url[length - 1] == '/') {
		url[--length] = '\0';
	}
	return STATUS_OK;
}

/* ---- Sources ---- */

static enum status option_take(const struct row *row, const char *value, struct setting *setting,
                               struct error *err)
{
	char name[NAME_SIZE];
	option_name(row, name);
	if (value == NULL) {
		return error_fail(err, STATUS_INVALID, "%s needs a value", name);
	}
	if (setting->value != NULL) {
		return error_fail(err, STATUS_INVALID, "%s stands twice", name);
	}
	setting->value = value;
	memcpy(setting->source, name, sizeof(name));
	return STATUS_OK;
}

/* Row whose option is the first @length bytes of @text. */
static size_t option_find(const char *text, size_t length)
{
	size_t i = 0;
	for (; i < ROW_COUNT; i++) {
		char name[NAME_SIZE];
		option_name(&rows[i], name);
		if (strlen(name) == length && memcmp(name, text, length) == 0) {
			break;
		}
	}
	return i;
}

static enum status arguments_read(int argc, char *const *argv, struct setting *settings,
                                  enum config_action *action, struct error *err)
{
	for (int i = 1; i < argc; i++) {
		const char *const text = argv[i];
		if (strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0) {
			*action = CONFIG_HELP;
			return STATUS_OK;
		}
		if (strcmp(text, "--version") == 0) {
			*action = CONFIG_VERSION;
			return STATUS_OK;
		}
		if (strncmp(text, "--", 2) != 0 || text[2] == '\0') {
			return error_fail(
			        err, STATUS_INVALID,
			        "flagd takes no argument such as \"%.60s\"; options are --name value", text);
		}
		const size_t length = strcspn(text, "=");
		const size_t at = option_find(text, length);
		if (at == ROW_COUNT) {
			return unknown_fail("option", "--", text + 2, length - 2, err);
		}
		const char *value = text[length] == '=' ? text + length + 1 : argv[i + 1];
		if (text[length] != '=' && i + 1 < argc) {
			i++;
		}
		const enum status status = option_take(&rows[at], value, &settings[at], err);
		if (status != STATUS_OK) {
			return status;
		}
	}
	return STATUS_OK;
}

/* Variables of Halyard's clients, which often share an environment file with the daemon. */
static const char *const foreign_variables[] = {
	"HALYARD_URL", "HALYARD_TOKEN", "HALYARD_ENVIRONMENT", "HALYARD_CACHE_DIR", "HALYARD_PUBLIC_KEY",
};

static bool variable_is_foreign(const char *entry, size_t length)
{
	for (size_t i = 0; i < sizeof(foreign_variables) / sizeof(foreign_variables[0]); i++) {
		if (strlen(foreign_variables[i]) == length &&
		    memcmp(foreign_variables[i], entry, length) == 0) {
			return true;
		}
	}
	return false;
}

static enum status environment_read(char *const *environ_, struct setting *settings, struct error *err)
{
	const size_t prefix_length = strlen(VARIABLE_PREFIX);
	for (; *environ_ != NULL; environ_++) {
		const char *const entry = *environ_;
		const size_t length = strcspn(entry, "=");
		if (strncmp(entry, VARIABLE_PREFIX, prefix_length) != 0 || entry[length] == '\0' ||
		    variable_is_foreign(entry, length)) {
			continue;
		}
		size_t at = 0;
		char name[NAME_SIZE];
		for (; at < ROW_COUNT; at++) {
			variable_name(&rows[at], name);
			if (strlen(name) == length && memcmp(name, entry, length) == 0) {
				break;
			}
		}
		if (at == ROW_COUNT) {
			return unknown_fail("environment variable", VARIABLE_PREFIX, entry + prefix_length,
			                    length - prefix_length, err);
		}
		if (settings[at].value == NULL) {
			settings[at].value = entry + length + 1;
			memcpy(settings[at].source, name, sizeof(name));
		}
	}
	return STATUS_OK;
}

static enum status settings_store(struct setting *settings, struct config *config, struct error *err)
{
	const char *listen_source = "", *public_url_source = "";
	for (size_t i = 0; i < ROW_COUNT; i++) {
		if (settings[i].value == NULL) {
			settings[i].value = rows[i].fallback;
			option_name(&rows[i], settings[i].source);
		}
		const enum status status = value_store(&rows[i], &settings[i], config, err);
		if (status != STATUS_OK) {
			return status;
		}
		if (rows[i].offset == offsetof(struct config, listen)) {
			listen_source = settings[i].source;
		} else if (rows[i].offset == offsetof(struct config, public_url)) {
			public_url_source = settings[i].source;
		}
	}
	const enum status status = listen_split(config, listen_source, err);
	return status != STATUS_OK ? status : public_url_settle(config, public_url_source, err);
}

enum status config_read(int argc, char *const *argv, char *const *environ_, struct config *ret,
                        enum config_action *ret_action, struct error *err)
{
	struct setting settings[ROW_COUNT] = { 0 };
	struct config config = { 0 };
	enum config_action action = CONFIG_RUN;
	enum status status = arguments_read(argc, argv, settings, &action, err);
	if (status == STATUS_OK && action == CONFIG_RUN) {
		status = environment_read(environ_, settings, err);
		if (status == STATUS_OK) {
			status = settings_store(settings, &config, err);
		}
	}
	if (status != STATUS_OK) {
		config_deinit(&config);
		return status;
	}
	if (action == CONFIG_RUN) {
		*ret = config;
	}
	*ret_action = action;
	return STATUS_OK;
}

void config_deinit(struct config *config)
{
	for (size_t i = 0; i < ROW_COUNT; i++) {
		if (rows[i].kind != KIND_NUMBER) {
			free(*(char **)((char *)config + rows[i].offset));
		}
	}
	free(config->address);
	*config = (struct config){ 0 };
}

/* ---- Texts ---- */

/* "100 to 600000 ms", "debug, info, warn or error", "at most 200 bytes" */
static void range_append(const struct row *row, struct buf *out)
{
	switch (row->kind) {
	case KIND_NUMBER:
		buf_append_format(out, "%llu to %llu", (unsigned long long)row->min,
		                  (unsigned long long)row->max);
		if (row->unit[0] != '\0') {
			buf_append_format(out, " %s", row->unit);
		}
		return;
	case KIND_CHOICE:
		for (const char *c = row->unit; *c != '\0'; c++) {
			if (*c == '|') {
				buf_append_string(out, strchr(c + 1, '|') != NULL ? ", " : " or ");
			} else {
				buf_append_char(out, *c);
			}
		}
		return;
	case KIND_STRING:
		buf_append_format(out, "at most %llu bytes", (unsigned long long)row->max);
		return;
	}
}

void config_help(struct buf *out)
{
	buf_append_string(out,
	                  "Usage: flagd [--NAME VALUE]...\n"
	                  "\n"
	                  "The Halyard daemon: keeps feature flags in one folder and serves them over HTTP.\n"
	                  "\n"
	                  "Every option is also an environment variable, --max-connections for example\n"
	                  "HALYARD_MAX_CONNECTIONS. The command line wins.\n"
	                  "\n");
	for (size_t i = 0; i < ROW_COUNT; i++) {
		const struct row *const row = &rows[i];
		char name[NAME_SIZE];
		option_name(row, name);
		buf_append_format(out, "  %s %s\n      %s.\n      Default ", name,
		                  row->kind == KIND_NUMBER ? "NUMBER" : "TEXT", row->text);
		buf_append_format(out, "%s; ", row->fallback[0] != '\0' ? row->fallback : "empty");
		range_append(row, out);
		buf_append_string(out, ".\n");
	}
	buf_append_string(out, "  --help, -h\n      Print this.\n"
	                       "  --version\n      Print the version.\n");
}

void config_markdown(struct buf *out)
{
	buf_append_string(
	        out,
	        "<!-- Made from flagd/config.h by `meson compile -C build docs`. -->\n"
	        "# Configuration of flagd\n"
	        "\n"
	        "Each setting is an option (`--name value` or `--name=value`) or an environment "
	        "variable; the option wins.\n"
	        "flagd refuses to start with an unknown option, an unknown `" VARIABLE_PREFIX
	        "` variable (but for those of clients, such as `HALYARD_TOKEN`) or a value out of range, "
	        "and says which.\n"
	        "\n"
	        "| option | variable | default | allowed | what it is |\n"
	        "|---|---|---|---|---|\n");
	for (size_t i = 0; i < ROW_COUNT; i++) {
		const struct row *const row = &rows[i];
		char option[NAME_SIZE], variable[NAME_SIZE];
		option_name(row, option);
		variable_name(row, variable);
		buf_append_format(out, "| `%s` | `%s` | ", option, variable);
		if (row->fallback[0] != '\0') {
			buf_append_format(out, "`%s` | ", row->fallback);
		} else {
			buf_append_string(out, "empty | ");
		}
		range_append(row, out);
		buf_append_format(out, " | %s |\n", row->text);
	}
}
