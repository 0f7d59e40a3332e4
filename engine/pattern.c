/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/pattern.h"

#include <stdalign.h>
#include <stdlib.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/cleanup.h"

/* PCRE2 starts with 20 KiB of backtracking frames; it gets those and no more. */
#define PATTERN_FRAMES_KIB    20
#define PATTERN_SCRATCH_BYTES (PATTERN_FRAMES_KIB * 1024 + 2048)

#define PATTERN_OPTIONS                                                                    \
	(PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C | PCRE2_NEVER_UCP | \
	 PCRE2_NO_AUTO_CAPTURE | PCRE2_DOLLAR_ENDONLY | PCRE2_AUTO_CALLOUT)

struct pattern {
	pcre2_code *code;
};

/* What one match works with, on the stack of its caller. */
struct pattern_scratch {
	size_t used;
	size_t work;     /* bytes passed over, and PATTERN_STEP_BYTES for each item tried */
	size_t position; /* in the subject, at the item before */
	alignas(max_align_t) unsigned char bytes[PATTERN_SCRATCH_BYTES];
};

static void pcre2_compile_context_freep(pcre2_compile_context **context)
{
	pcre2_compile_context_free(*context);
}

static enum status pattern_check(const struct pattern *pattern, struct error *err)
{
	size_t size = 0;
	uint32_t groups = 0;
	(void)pcre2_pattern_info(pattern->code, PCRE2_INFO_SIZE, &size);
	(void)pcre2_pattern_info(pattern->code, PCRE2_INFO_CAPTURECOUNT, &groups);
	if (size > PATTERN_MAX_CODE_BYTES) {
		return error_fail(err, STATUS_INVALID, "The pattern is too large once compiled");
	}
	if (groups > PATTERN_MAX_GROUPS) {
		return error_fail(err, STATUS_INVALID, "The pattern has more than %d named groups",
		                  PATTERN_MAX_GROUPS);
	}
	return STATUS_OK;
}

static enum status pattern_compile(struct pattern *pattern, const char *text, size_t length, bool ignore_case,
                                   struct error *err)
{
	AUTO(pcre2_compile_context_freep)
	pcre2_compile_context *context = pcre2_compile_context_create(NULL);
	if (context == NULL) {
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory while compiling a pattern");
	}
	(void)pcre2_set_newline(context, PCRE2_NEWLINE_LF);
	(void)pcre2_set_parens_nest_limit(context, PATTERN_MAX_NESTING);
	int code = 0;
	size_t offset = 0;
	const uint32_t options = PATTERN_OPTIONS | (ignore_case ? PCRE2_CASELESS : 0);
	pattern->code = pcre2_compile((PCRE2_SPTR)text, length, options, &code, &offset, context);
	if (pattern->code == NULL) {
		char reason[128];
		(void)pcre2_get_error_message(code, (PCRE2_UCHAR *)reason, sizeof(reason));
		return error_fail(err, STATUS_INVALID, "The pattern is wrong at byte %zu: %s", offset,
		                  reason);
	}
	return pattern_check(pattern, err);
}

enum status pattern_new(const char *text, size_t length, bool ignore_case, struct pattern **ret,
                        struct error *err)
{
	if (length == 0 || length > PATTERN_MAX_BYTES) {
		return error_fail(err, STATUS_INVALID, "A pattern has 1 to %d bytes", PATTERN_MAX_BYTES);
	}
	struct pattern *pattern = calloc(1, sizeof(*pattern));
	if (pattern == NULL) {
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory while compiling a pattern");
	}
	const enum status status = pattern_compile(pattern, text, length, ignore_case, err);
	if (status != STATUS_OK) {
		pattern_free(pattern);
		return status;
	}
	*ret = pattern;
	return STATUS_OK;
}

void pattern_free(struct pattern *pattern)
{
	if (pattern != NULL) {
		pcre2_code_free(pattern->code);
		free(pattern);
	}
}

static void *pattern_scratch_alloc(size_t size, void *user)
{
	struct pattern_scratch *scratch = user;
	const size_t rounded = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
	if (rounded < size || rounded > sizeof(scratch->bytes) - scratch->used) {
		return NULL;
	}
	void *memory = scratch->bytes + scratch->used;
	scratch->used += rounded;
	return memory;
}

static void pattern_scratch_free(void *memory, void *user)
{
	(void)memory;
	(void)user;
}

/* Called in front of each item of the pattern that is tried. */
static int pattern_count_step(pcre2_callout_block *block, void *user)
{
	struct pattern_scratch *scratch = user;
	const size_t position = block->current_position;
	scratch->work += PATTERN_STEP_BYTES;
	scratch->work +=
	        position > scratch->position ? position - scratch->position : scratch->position - position;
	scratch->position = position;
	return scratch->work > (size_t)PATTERN_MATCH_LIMIT * PATTERN_STEP_BYTES ? PCRE2_ERROR_MATCHLIMIT : 0;
}

enum pattern_result pattern_match(const struct pattern *pattern, const char *subject, size_t length)
{
	if (length > PATTERN_SUBJECT_MAX_BYTES) {
		return PATTERN_EXCEEDED;
	}
	struct pattern_scratch scratch; /* its bytes are left as they are */
	scratch.used = scratch.work = scratch.position = 0;
	pcre2_general_context *memory =
	        pcre2_general_context_create(pattern_scratch_alloc, pattern_scratch_free, &scratch);
	pcre2_match_context *limits = memory != NULL ? pcre2_match_context_create(memory) : NULL;
	pcre2_match_data *data = memory != NULL ? pcre2_match_data_create(1, memory) : NULL;
	if (limits == NULL || data == NULL) {
		return PATTERN_EXCEEDED;
	}
	(void)pcre2_set_heap_limit(limits, PATTERN_FRAMES_KIB);
	(void)pcre2_set_match_limit(limits, PATTERN_MATCH_LIMIT);
	(void)pcre2_set_callout(limits, pattern_count_step, &scratch);
	const int result = pcre2_match(pattern->code, (PCRE2_SPTR)subject, length, 0, 0, data, limits);
	if (result == PCRE2_ERROR_NOMATCH) {
		return PATTERN_NO_MATCH;
	}
	return result >= 0 ? PATTERN_MATCH : PATTERN_EXCEEDED;
}
