/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Texts of a log line: escaping, redaction and cutting. For log.c and its tests only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define LOG_LINE_SIZE 4096 /* newline included; a pipe takes that much in one piece */

struct log_line {
	char *data;
	size_t length;
	size_t size;
	bool overflows; /* something did not fit; nothing is appended any more */
};

/* Appends @text as it is. */
void log_line_put(struct log_line *line, const char *text);

/*
 * Appends @text escaped for a JSON string. Halyard tokens in it are replaced by their fingerprints,
 * and all of it when it @is_secret. More than @max_bytes are cut and end with an ellipsis. Also
 * escapes what can move a terminal's cursor or turn the direction of writing.
 */
void log_line_put_text(struct log_line *line, const char *text, size_t max_bytes, bool is_secret);

/* Does a field of this name hold a secret? */
bool log_name_is_secret(const char *name);
