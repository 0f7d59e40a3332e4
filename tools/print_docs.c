/* SPDX-License-Identifier: Apache-2.0 */
/* Prints a page of docs/ that is made from a table in the source: print_docs config|metrics|operators. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "flagd/config.h"
#include "flagd/metrics.h"
#include "tools/operators_page.h"

static const struct {
	const char *name;
	void (*write)(struct buf *out);
} pages[] = {
	{ "config", config_markdown },
	{ "metrics", metrics_markdown },
	{ "operators", operators_markdown },
};

int main(int argc, char **argv)
{
	struct buf out;
	buf_init(&out, 1024 * 1024);
	for (size_t i = 0; argc == 2 && i < sizeof(pages) / sizeof(pages[0]); i++) {
		if (strcmp(argv[1], pages[i].name) == 0) {
			pages[i].write(&out);
		}
	}
	if (out.length == 0 || out.failed) {
		(void)fprintf(stderr, "Usage: print_docs config|metrics|operators\n");
		return EXIT_FAILURE;
	}
	const size_t written = fwrite(out.data, 1, out.length, stdout);
	const int is_written = written == out.length && fflush(stdout) == 0;
	buf_deinit(&out);
	return is_written ? EXIT_SUCCESS : EXIT_FAILURE;
}
