/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log_text.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

#define TOKEN_PREFIX          "hly_"
#define ELLIPSIS              "\xe2\x80\xa6"
#define REPLACEMENT           "\xef\xbf\xbd"
#define FINGERPRINT_MIN_CHARS 16
#define FINGERPRINT_CHARS     4
#define PIECE_SIZE            64

/* A field holds a secret when its name, without case, `_` and `-`, contains one of these. */
static const char *const secret_words[] = {
	"token", "secret", "password", "keymaterial", "authorization", "apikey",
};

/* Text that is being appended; pieces are whole characters or escapes. */
struct cutter {
	struct log_line *line;
	size_t left;
	bool is_cut;
};

bool log_name_is_secret(const char *name)
{
	char letters[128];
	size_t length = 0;
	for (; *name != '\0' && length < sizeof(letters) - 1; name++) {
		if (*name != '_' && *name != '-') {
			bool is_upper = *name >= 'A' && *name <= 'Z';
			letters[length++] = is_upper ? (char)(*name - 'A' + 'a') : *name;
		}
	}
	letters[length] = '\0';
	for (size_t i = 0; i < sizeof(secret_words) / sizeof(secret_words[0]); i++) {
		if (strstr(letters, secret_words[i]) != NULL) {
			return true;
		}
	}
	return false;
}

static void line_put_bytes(struct log_line *line, const char *bytes, size_t length)
{
	if (line->overflows || length > line->size - line->length) {
		line->overflows = true;
		return;
	}
	memcpy(line->data + line->length, bytes, length);
	line->length += length;
}

void log_line_put(struct log_line *line, const char *text)
{
	line_put_bytes(line, text, strlen(text));
}

static void cutter_put(struct cutter *cutter, const char *piece, size_t length)
{
	if (cutter->is_cut) {
		return;
	}
	if (length > cutter->left) {
		cutter->is_cut = true;
		log_line_put(cutter->line, ELLIPSIS);
		return;
	}
	cutter->left -= length;
	line_put_bytes(cutter->line, piece, length);
}

/* Controls, deletes, line separators and marks that turn the direction of writing. */
static bool is_dangerous(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c <= 0x9f) || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2066 && c <= 0x2069) || c == 0x200e || c == 0x200f || c == 0x061c || c == 0xfeff;
}

/* Appends the character at @p; returns its length. */
static size_t put_character(struct cutter *cutter, const char *p, const char *end)
{
	size_t length = utf8_sequence(p, end);
	if (length == 0) {
		cutter_put(cutter, REPLACEMENT, sizeof(REPLACEMENT) - 1);
		return 1;
	}
	uint32_t code_point = utf8_decode(p, length);
	char escape[8];
	if (code_point == '"' || code_point == '\\') {
		cutter_put(cutter, code_point == '"' ? "\\\"" : "\\\\", 2);
	} else if (code_point == '\n') {
		cutter_put(cutter, "\\n", 2);
	} else if (is_dangerous(code_point)) {
		int written = snprintf(escape, sizeof(escape), "\\u%04x", code_point & 0xffff);
		cutter_put(cutter, escape, (size_t)written);
	} else {
		cutter_put(cutter, p, length);
	}
	return length;
}

/* Start of the last FINGERPRINT_CHARS characters; NULL when the secret is too short to show them. */
static const char *fingerprint_start(const char *secret, const char *end)
{
	size_t characters = 0;
	const char *tail = NULL;
	for (const char *p = end; p > secret && characters < FINGERPRINT_MIN_CHARS;) {
		p--;
		while (p > secret && ((unsigned char)*p & 0xc0) == 0x80) {
			p--;
		}
		characters++;
		tail = characters == FINGERPRINT_CHARS ? p : tail;
	}
	return characters >= FINGERPRINT_MIN_CHARS ? tail : NULL;
}

static void put_fingerprint(struct cutter *cutter, const char *secret, const char *end)
{
	char text[PIECE_SIZE];
	struct log_line piece = { .data = text, .size = sizeof(text) };
	struct cutter inner = { .line = &piece, .left = sizeof(text) };
	const char *tail = fingerprint_start(secret, end);
	log_line_put(&piece, "[redacted");
	if (tail != NULL) {
		log_line_put(&piece, " " ELLIPSIS);
		while (tail < end) {
			tail += put_character(&inner, tail, end);
		}
	}
	log_line_put(&piece, "]");
	cutter_put(cutter, text, piece.length);
}

/* Appends what can be copied as it is and starts no token; returns its length. */
static size_t put_plain(struct cutter *cutter, const char *start, const char *end)
{
	const char *p = start;
	end = (size_t)(end - start) > cutter->left ? start + cutter->left : end;
	while (p < end && *p >= 0x20 && *p < 0x7f && *p != '"' && *p != '\\' && *p != TOKEN_PREFIX[0]) {
		p++;
	}
	cutter_put(cutter, start, (size_t)(p - start));
	return (size_t)(p - start);
}

static bool is_token(const char *p, const char *end)
{
	return (size_t)(end - p) >= strlen(TOKEN_PREFIX) &&
	       memcmp(p, TOKEN_PREFIX, strlen(TOKEN_PREFIX)) == 0;
}

static const char *token_end(const char *p, const char *end)
{
	while (p < end && ((*p >= '0' && *p <= '9') || (*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z') ||
	                   *p == '_' || *p == '-')) {
		p++;
	}
	return p;
}

void log_line_put_text(struct log_line *line, const char *text, size_t max_bytes, bool is_secret)
{
	struct cutter cutter = { .line = line, .left = max_bytes };
	const char *p = text;
	const char *end = text + strlen(text);
	if (is_secret) {
		put_fingerprint(&cutter, text, end);
		return;
	}
	while (p < end && !cutter.is_cut && !line->overflows) {
		p += put_plain(&cutter, p, end);
		if (p < end && is_token(p, end)) {
			const char *behind = token_end(p, end);
			put_fingerprint(&cutter, p, behind);
			p = behind;
		} else if (p < end) {
			p += put_character(&cutter, p, end);
		}
	}
}
