/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The least that a libmicrohttpd server can do, in the mode that flagd uses (external epoll, one
 * loop): the baseline of the HTTP figures.
 *
 *	bench_bare_http PORT [FILE]
 *
 * POST of anything reads the body and answers 60 bytes of JSON; GET /file answers FILE's bytes, GET
 * /304 answers 304, any other GET the 60 bytes. One prepared response each. Prints "ready" when it listens.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <microhttpd.h>

static const char small[] = "{\"key\":\"a\",\"value\":true,\"reason\":\"STATIC\",\"variant\":\"on\"}  \n";

static struct MHD_Response *small_response;
static struct MHD_Response *file_response;
static struct MHD_Response *empty_response;

static enum MHD_Result handle(void *user, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_size, void **context)
{
	(void)user;
	(void)method;
	(void)version;
	(void)upload;
	if (*context == NULL) {
		*context = connection; /* an answer before the body would close the connection */
		return MHD_YES;
	}
	if (*upload_size > 0) {
		*upload_size = 0;
		return MHD_YES;
	}
	if (strcmp(url, "/304") == 0) {
		return MHD_queue_response(connection, MHD_HTTP_NOT_MODIFIED, empty_response);
	}
	bool is_file = strcmp(url, "/file") == 0 && file_response != NULL;
	return MHD_queue_response(connection, MHD_HTTP_OK, is_file ? file_response : small_response);
}

static struct MHD_Response *response_of_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat info;
	if (fd < 0 || fstat(fd, &info) != 0) {
		perror(path);
		exit(1); // NOLINT(concurrency-mt-unsafe): one thread
	}
	size_t size = (size_t)info.st_size;
	char *bytes = malloc(size + 1);
	if (bytes == NULL || read(fd, bytes, size) != (ssize_t)size) {
		perror(path);
		exit(1); // NOLINT(concurrency-mt-unsafe): one thread
	}
	(void)close(fd);
	return MHD_create_response_from_buffer(size, bytes, MHD_RESPMEM_MUST_FREE);
}

int main(int argc, char **argv)
{
	if (argc < 2 || argc > 3) {
		(void)fprintf(stderr, "usage: bench_bare_http PORT [FILE]\n");
		return 2;
	}
	uint16_t port = (uint16_t)strtoul(argv[1], NULL, 10);
	small_response = MHD_create_response_from_buffer(60, (void *)small, MHD_RESPMEM_PERSISTENT);
	(void)MHD_add_response_header(small_response, "Content-Type", "application/json");
	empty_response = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
	(void)MHD_add_response_header(empty_response, "ETag", "\"1-42\"");
	if (argc == 3) {
		file_response = response_of_file(argv[2]);
	}
	struct MHD_Daemon *daemon =
	        MHD_start_daemon(MHD_USE_EPOLL, port, NULL, NULL, handle, NULL, MHD_OPTION_CONNECTION_LIMIT,
	                         20000u, MHD_OPTION_LISTEN_BACKLOG_SIZE, 4096u, MHD_OPTION_END);
	if (daemon == NULL) {
		(void)fprintf(stderr, "bench_bare_http: cannot listen on port %u\n", port);
		return 1;
	}
	struct pollfd wait = { .fd = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd,
		               .events = POLLIN };
	(void)puts("ready");
	(void)fflush(stdout);
	for (;;) {
		MHD_UNSIGNED_LONG_LONG timeout_ms;
		bool is_busy = MHD_get_timeout(daemon, &timeout_ms) == MHD_YES && timeout_ms == 0;
		(void)poll(&wait, 1, is_busy ? 0 : -1);
		(void)MHD_run(daemon);
	}
}
