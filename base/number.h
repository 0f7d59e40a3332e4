/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Doubles as JSON text and back, whatever the process's locale. Thread-safe.
 */
#pragma once

#include <stddef.h>

#define NUMBER_TEXT_SIZE 32

/*
 * Nearest double of @text, which must follow the JSON grammar and may be of any length; infinite when
 * it is too large, zero when it is too small.
 */
double number_parse(const char *text, size_t length);

/*
 * Writes the shortest text that reads back as @value, always with a fraction or an exponent ("1.0",
 * "1e+300"), and returns its length. @value must be finite.
 */
size_t number_format(double value, char out[static NUMBER_TEXT_SIZE]);
