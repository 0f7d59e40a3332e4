/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/http_hygiene.h"

#include <string.h>
#include <strings.h>

/* clang-format off */
static const char *const known_names[HTTP_KNOWN_COUNT] = {
	[HTTP_KNOWN_AUTHORIZATION]     = "Authorization",
	[HTTP_KNOWN_CONTENT_LENGTH]    = "Content-Length",
	[HTTP_KNOWN_CONTENT_TYPE]      = "Content-Type",
	[HTTP_KNOWN_EXPECT]            = "Expect",
	[HTTP_KNOWN_HOST]              = "Host",
	[HTTP_KNOWN_IDEMPOTENCY_KEY]   = "Idempotency-Key",
	[HTTP_KNOWN_IF_MATCH]          = "If-Match",
	[HTTP_KNOWN_IF_NONE_MATCH]     = "If-None-Match",
	[HTTP_KNOWN_LAST_EVENT_ID]     = "Last-Event-ID",
	[HTTP_KNOWN_TRACEPARENT]       = "traceparent",
	[HTTP_KNOWN_TRANSFER_ENCODING] = "Transfer-Encoding",
	[HTTP_KNOWN_X_API_KEY]         = "X-API-Key",
};

/* Length of a name → the headers that it could be, each as its constant + 1. */
static const uint8_t known_by_length[18][3] = {
	[4]  = { HTTP_KNOWN_HOST + 1 },
	[6]  = { HTTP_KNOWN_EXPECT + 1 },
	[8]  = { HTTP_KNOWN_IF_MATCH + 1 },
	[9]  = { HTTP_KNOWN_X_API_KEY + 1 },
	[11] = { HTTP_KNOWN_TRACEPARENT + 1 },
	[12] = { HTTP_KNOWN_CONTENT_TYPE + 1 },
	[13] = { HTTP_KNOWN_AUTHORIZATION + 1, HTTP_KNOWN_IF_NONE_MATCH + 1, HTTP_KNOWN_LAST_EVENT_ID + 1 },
	[14] = { HTTP_KNOWN_CONTENT_LENGTH + 1 },
	[15] = { HTTP_KNOWN_IDEMPOTENCY_KEY + 1 },
	[17] = { HTTP_KNOWN_TRANSFER_ENCODING + 1 },
};

/* RFC 9110 token */
static const bool is_token[256] = {
	['!'] = 1, ['#'] = 1, ['$'] = 1, ['%'] = 1, ['&'] = 1, ['\''] = 1, ['*'] = 1, ['+'] = 1, ['-'] = 1,
	['.'] = 1, ['^'] = 1, ['_'] = 1, ['`'] = 1, ['|'] = 1, ['~'] = 1,
	['0' ... '9'] = 1, ['A' ... 'Z'] = 1, ['a' ... 'z'] = 1,
};
/* clang-format on */

/* Any case; @known holds letters and dashes only, and a carriage return is not a dash. */
static bool name_equals(const char *name, const char *known, size_t length)
{
	size_t i = 0;
	while (i < length && (name[i] | 0x20) == (known[i] | 0x20) && name[i] != '\r') {
		i++;
	}
	return i == length;
}

static int known_find(const struct http_field *field)
{
	if (field->name_length >= sizeof(known_by_length) / sizeof(known_by_length[0])) {
		return -1;
	}
	const uint8_t *candidates = known_by_length[field->name_length];
	for (size_t i = 0; i < sizeof(known_by_length[0]) && candidates[i] != 0; i++) {
		if (name_equals(field->name, known_names[candidates[i] - 1], field->name_length)) {
			return candidates[i] - 1;
		}
	}
	return -1;
}

/* What a value is made of. */
enum { VALUE_CONTROL = 1, VALUE_TAB = 2, VALUE_HIGH = 4 };

static unsigned byte_classify(unsigned char c)
{
	if (c == '\t') {
		return VALUE_TAB;
	}
	if (c < ' ' || c == 0x7f) {
		return VALUE_CONTROL; /* that includes bare CR and NUL */
	}
	return c > 0x7f ? VALUE_HIGH : 0;
}

/* Is every byte of the word between 0x20 and 0x7e? */
static bool word_is_visible(uint64_t word)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	const uint64_t highs = ones * 0x80;
	/* Without carries between bytes as long as none has its high bit, which is looked at as well. */
	return ((word | (word - ones * 0x20) | (word + ones)) & highs) == 0;
}

/* Bits of what is in a value besides visible ASCII and blanks. */
static unsigned value_classify(const char *value, size_t length)
{
	unsigned classes = 0;
	bool is_visible = length >= 8;
	for (size_t i = 0; is_visible && i < length; i += 8) {
		uint64_t word;
		/* The last word reaches back into the one before. */
		memcpy(&word, value + (i + 8 <= length ? i : length - 8), 8);
		is_visible = word_is_visible(word);
	}
	for (size_t i = 0; !is_visible && i < length; i++) {
		classes |= byte_classify((unsigned char)value[i]);
	}
	return classes;
}

static bool name_is_token(const char *name, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (!is_token[(unsigned char)name[i]]) {
			return false;
		}
	}
	return length > 0;
}

static enum status field_check(const struct http_field *field, struct http_facts *facts, struct error *err)
{
	int known = known_find(field);
	if (known < 0 && !name_is_token(field->name, field->name_length)) {
		return error_fail(err, STATUS_MALFORMED,
		                  "A header's name holds a blank or another byte that is not allowed");
	}
	unsigned classes = value_classify(field->value, field->value_length);
	if ((classes & VALUE_CONTROL) != 0) {
		return error_fail(err, STATUS_MALFORMED, "The value of the header %.64s holds a control byte",
		                  field->name);
	}
	if (known < 0) {
		return STATUS_OK;
	}
	if (facts->known[known] != NULL) {
		return error_fail(err, STATUS_MALFORMED, "The header %s stands twice", known_names[known]);
	}
	if (classes != 0) {
		return error_fail(err, STATUS_MALFORMED, "The value of the header %s is not visible ASCII",
		                  known_names[known]);
	}
	facts->known[known] = field->value;
	return STATUS_OK;
}

static enum status content_length_read(const char *text, uint64_t *ret, struct error *err)
{
	uint64_t value = 0;
	const char *c = text;
	for (; *c >= '0' && *c <= '9' && value <= UINT64_MAX / 100; c++) {
		value = value * 10 + (uint64_t)(*c - '0');
	}
	if (c == text || *c != '\0') {
		return error_fail(err, STATUS_MALFORMED, "The Content-Length is not a number");
	}
	*ret = value;
	return STATUS_OK;
}

/* How long is the body? There must be one answer. */
static enum status framing_check(struct http_facts *facts, struct error *err)
{
	const char *encoding = facts->known[HTTP_KNOWN_TRANSFER_ENCODING];
	const char *length = facts->known[HTTP_KNOWN_CONTENT_LENGTH];
	if (encoding == NULL) {
		return length == NULL ? STATUS_OK : content_length_read(length, &facts->content_length, err);
	}
	if (length != NULL) {
		return error_fail(err, STATUS_MALFORMED,
		                  "Content-Length and Transfer-Encoding exclude each other");
	}
	if (facts->is_http_10) {
		return error_fail(err, STATUS_MALFORMED, "HTTP/1.0 has no Transfer-Encoding");
	}
	if (strcasecmp(encoding, "chunked") != 0) {
		return error_fail(err, STATUS_MALFORMED,
		                  "The only Transfer-Encoding that is understood is `chunked`");
	}
	facts->is_chunked = true;
	return STATUS_OK;
}

static enum status bytes_check(const struct http_head *head, struct error *err)
{
	size_t bytes = strlen(head->method) + 1 + head->target_length + 1 + strlen(head->version) + 4;
	for (size_t i = 0; i < head->field_count; i++) {
		const struct http_field *field = &head->fields[i];
		/* The parser hands out the received bytes in place: blanks behind the colon are the gap. */
		const char *colon = field->name + field->name_length;
		size_t gap = (uintptr_t)field->value - (uintptr_t)colon;
		if (gap < 1 || gap > head->bytes) {
			return error_fail(err, STATUS_MALFORMED, "The head holds a folded line");
		}
		bytes += field->name_length + gap + field->value_length + 2;
	}
	if (bytes != head->bytes) {
		return error_fail(err, STATUS_MALFORMED,
		                  "The head holds a NUL byte, a bare line feed, a folded line or superfluous "
		                  "blanks");
	}
	return STATUS_OK;
}

enum status http_hygiene_check(const struct http_head *head, struct http_facts *ret, struct error *err)
{
	bool is_http_10 = strcmp(head->version, "HTTP/1.0") == 0;
	if (!is_http_10 && strcmp(head->version, "HTTP/1.1") != 0) {
		return error_fail(err, STATUS_MALFORMED, "The HTTP version must be 1.1 or 1.0");
	}
	if (!name_is_token(head->method, strlen(head->method))) {
		return error_fail(err, STATUS_MALFORMED, "The method is not a token");
	}
	if (head->field_count > HTTP_MAX_FIELDS) {
		return error_fail(err, STATUS_HEADERS_TOO_LARGE, "The request has more than %d headers",
		                  HTTP_MAX_FIELDS);
	}
	struct http_facts facts = { .is_http_10 = is_http_10 };
	for (size_t i = 0; i < head->field_count; i++) {
		enum status status = field_check(&head->fields[i], &facts, err);
		if (status != STATUS_OK) {
			return status;
		}
	}
	if (facts.known[HTTP_KNOWN_HOST] == NULL && !is_http_10) {
		return error_fail(err, STATUS_MALFORMED, "HTTP/1.1 needs a Host header");
	}
	enum status status = framing_check(&facts, err);
	if (status == STATUS_OK && head->bytes != 0) {
		status = bytes_check(head, err);
	}
	if (status == STATUS_OK) {
		*ret = facts;
	}
	return status;
}

static const char *blanks_skip(const char *p)
{
	return p + strspn(p, " \t");
}

bool http_hygiene_is_json(const char *content_type)
{
	const char *p = content_type;
	if (strncasecmp(p, "application/", 12) != 0) {
		return false;
	}
	p += 12;
	size_t length = strcspn(p, "; \t");
	bool is_json = length == 4 && strncasecmp(p, "json", 4) == 0;
	bool is_suffixed = length > 5 && strncasecmp(p + length - 5, "+json", 5) == 0;
	if (!is_json && !is_suffixed) {
		return false;
	}
	p = blanks_skip(p + length);
	if (*p == '\0') {
		return true;
	}
	if (*p != ';') {
		return false;
	}
	p = blanks_skip(p + 1);
	if (strncasecmp(p, "charset=", 8) != 0) {
		return false;
	}
	p += 8;
	bool is_quoted = *p == '"';
	p += is_quoted;
	if (strncasecmp(p, "utf-8", 5) != 0) {
		return false;
	}
	p += 5;
	if (is_quoted && *p++ != '"') {
		return false;
	}
	return *blanks_skip(p) == '\0';
}
