/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opens many streams, makes something happen, and notes when each stream has heard of it.
 *
 *	bench_streams_client PORT STREAM TRIGGER[,TRIGGER2] COUNT ROUNDS [PID [PROBE]]
 *
 * STREAM and TRIGGER are files with a whole HTTP/1.1 request each; a second trigger takes turns with the first.
 * TRIGGER's connection is kept open. An event is complete with the empty line behind a `data:` line; comments do not
 * count. Prints, in ms over the rounds, the time from the trigger's first byte to the median and to the last stream,
 * and with PID what each stream added to that process's resident memory. PROBE is a request that another
 * thread sends every 2 ms meanwhile: prints how long its answers took.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS    10000
#define SETTLE_MS  300
#define IN_BATCH   256 /* streams that are being opened at a time */
#define PROBES_MAX 100000

struct request {
	char bytes[4096];
	size_t length;
};

struct stream {
	int fd;
	bool is_open;           /* its head was read */
	unsigned head_matched;  /* bytes of "\r\n\r\n" seen */
	unsigned data_matched;  /* bytes of "\ndata:" seen */
	unsigned empty_matched; /* line feeds seen in a row */
	bool has_data;
	unsigned events;
};

struct client {
	struct sockaddr_in address;
	int epoll_fd;
	struct stream *streams;
	size_t count;
	size_t open_count;
	size_t heard_count; /* streams that have heard of this round's event */
	unsigned round;
	double *heard_ms; /* in order of arrival */
	double start_ms;
};

static double now_ms(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void die(const char *what)
{
	(void)fprintf(stderr, "bench_streams_client: %s: %s\n", what, strerrordesc_np(errno));
	exit(1); // NOLINT(concurrency-mt-unsafe): one thread
}

static void request_load(const char *path, struct request *ret)
{
	FILE *file = fopen(path, "re");
	if (file == NULL) {
		die(path);
	}
	ret->length = fread(ret->bytes, 1, sizeof(ret->bytes), file);
	(void)fclose(file);
}

static int client_connect(const struct client *client)
{
	const int one = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&client->address, sizeof(client->address)) != 0) {
		die("connect");
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static void request_send(int fd, const struct request *request)
{
	if (send(fd, request->bytes, request->length, MSG_NOSIGNAL) != (ssize_t)request->length) {
		die("send");
	}
}

/* Advances over @c; true at the end of an event. Line feeds of chunk lines come behind a CR. */
static bool event_step(struct stream *stream, char c)
{
	static const char data[] = "data:";
	stream->data_matched = c == data[stream->data_matched] ? stream->data_matched + 1 : c == data[0];
	if (stream->data_matched == sizeof(data) - 1) {
		stream->has_data = true;
		stream->data_matched = 0;
	}
	stream->empty_matched = c == '\n' ? stream->empty_matched + 1 : 0;
	if (stream->empty_matched < 2 || !stream->has_data) {
		return false;
	}
	stream->has_data = false;
	return true;
}

static void stream_take(struct client *client, struct stream *stream, const char *bytes, size_t length,
                        double ms)
{
	static const char end[] = "\r\n\r\n";
	for (size_t i = 0; i < length; i++) {
		if (!stream->is_open) {
			bool fits = bytes[i] == end[stream->head_matched];
			stream->head_matched = fits ? stream->head_matched + 1 : bytes[i] == end[0];
			stream->is_open = stream->head_matched == 4;
			client->open_count += stream->is_open;
		} else if (event_step(stream, bytes[i])) {
			stream->events++;
			if (client->heard_ms != NULL && stream->events == client->round) {
				client->heard_ms[client->heard_count++] = ms - client->start_ms;
			}
		}
	}
}

/* One batch of whatever came; false when nothing did. */
static bool batch_read(struct client *client, int wait_ms)
{
	struct epoll_event events[256];
	int count = epoll_wait(client->epoll_fd, events, 256, wait_ms);
	for (int i = 0; i < count; i++) {
		char bytes[16384];
		struct stream *stream = events[i].data.ptr;
		ssize_t length = recv(stream->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		if (length == 0 || (length < 0 && errno != EAGAIN)) {
			die("a stream ended");
		}
		if (length > 0) {
			stream_take(client, stream, bytes, (size_t)length, now_ms());
		}
	}
	return count > 0;
}

static void client_read(struct client *client)
{
	if (!batch_read(client, WAIT_MS)) {
		die("nothing came in time");
	}
}

static void streams_open(struct client *client, const struct request *request)
{
	for (size_t i = 0; i < client->count; i++) {
		struct stream *stream = &client->streams[i];
		stream->fd = client_connect(client);
		struct epoll_event event = { .events = EPOLLIN, .data.ptr = stream };
		if (epoll_ctl(client->epoll_fd, EPOLL_CTL_ADD, stream->fd, &event) != 0) {
			die("epoll_ctl");
		}
		request_send(stream->fd, request);
		while (i + 1 - client->open_count >= IN_BATCH) {
			client_read(client);
		}
	}
	while (client->open_count < client->count) {
		client_read(client);
	}
}

static int number_compare(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;
	return (x > y) - (x < y);
}

static void summary_print(const char *name, double *values, size_t count)
{
	qsort(values, count, sizeof(*values), number_compare);
	(void)printf("%s: median %.2f ms, min %.2f, max %.2f\n", name, values[count / 2], values[0],
	             values[count - 1]);
}

static long resident_kib(const char *pid)
{
	char path[64];
	char line[256];
	long kib = 0;
	(void)snprintf(path, sizeof(path), "/proc/%s/status", pid);
	FILE *file = fopen(path, "re");
	if (file == NULL) {
		die(path);
	}
	while (fgets(line, sizeof(line), file) != NULL) {
		if (strncmp(line, "VmRSS:", 6) == 0) {
			kib = strtol(line + 6, NULL, 10);
		}
	}
	(void)fclose(file);
	return kib;
}

/* ---- Another user meanwhile ---- */

struct probe {
	struct request request;
	pthread_t thread;
	atomic_bool is_over;
	int fd;
	size_t count;
	double took_ms[PROBES_MAX];
};

static void *probe_run(void *user)
{
	struct probe *probe = user;
	while (!atomic_load(&probe->is_over) && probe->count < PROBES_MAX) {
		char answer[4096];
		double start_ms = now_ms();
		request_send(probe->fd, &probe->request);
		if (recv(probe->fd, answer, sizeof(answer), 0) < 12 || answer[9] != '2') {
			die("the probe was refused");
		}
		probe->took_ms[probe->count++] = now_ms() - start_ms;
		(void)usleep(2000);
	}
	return NULL;
}

static struct probe *probe_start(const struct client *client, const char *path)
{
	struct probe *probe = calloc(1, sizeof(*probe));
	if (probe == NULL) {
		die("memory");
	}
	request_load(path, &probe->request);
	probe->fd = client_connect(client);
	if (pthread_create(&probe->thread, NULL, probe_run, probe) != 0) {
		die("pthread_create");
	}
	return probe;
}

static void probe_finish(struct probe *probe)
{
	atomic_store(&probe->is_over, true);
	(void)pthread_join(probe->thread, NULL);
	qsort(probe->took_ms, probe->count, sizeof(probe->took_ms[0]), number_compare);
	(void)printf("other requests: median %.2f ms, p99 %.2f, max %.2f of %zu\n",
	             probe->took_ms[probe->count / 2], probe->took_ms[probe->count * 99 / 100],
	             probe->took_ms[probe->count - 1], probe->count);
	(void)close(probe->fd);
	free(probe);
}

/* ---- Rounds ---- */

static void rounds_run(struct client *client, const struct request triggers[2], size_t rounds)
{
	double *medians = calloc(rounds, sizeof(*medians));
	double *lasts = calloc(rounds, sizeof(*lasts));
	double *heard = calloc(client->count, sizeof(*heard));
	int fd = client_connect(client);
	if (medians == NULL || lasts == NULL || heard == NULL) {
		die("memory");
	}
	/* Streams may begin with an event of their own. */
	while (batch_read(client, SETTLE_MS)) {
	}
	for (size_t i = 0; i < client->count; i++) {
		client->streams[i].events = 0;
	}
	client->heard_ms = heard;
	for (size_t r = 0; r < rounds; r++) {
		char answer[4096];
		client->round = (unsigned)r + 1;
		client->heard_count = 0;
		client->start_ms = now_ms();
		request_send(fd, &triggers[r % 2]);
		while (client->heard_count < client->count) {
			client_read(client);
		}
		if (recv(fd, answer, sizeof(answer), 0) < 12 || answer[9] != '2') {
			die("the trigger was refused");
		}
		medians[r] = heard[client->count / 2];
		lasts[r] = heard[client->count - 1];
		(void)poll(NULL, 0, 20);
	}
	summary_print("median stream", medians, rounds);
	summary_print("last stream", lasts, rounds);
	free(medians);
	free(lasts);
	free(heard);
	(void)close(fd);
}

int main(int argc, char **argv)
{
	if (argc < 6 || argc > 8) {
		(void)fprintf(stderr,
		              "usage: bench_streams_client PORT STREAM TRIGGER[,TRIGGER2] COUNT ROUNDS "
		              "[PID [PROBE]]\n");
		return 2;
	}
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
	struct request stream;
	struct request triggers[2];
	char *comma = strchr(argv[3], ',');
	if (comma != NULL) {
		*comma = '\0';
	}
	request_load(argv[2], &stream);
	request_load(argv[3], &triggers[0]);
	request_load(comma != NULL ? comma + 1 : argv[3], &triggers[1]);
	struct client client = {
		.address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(argv[1], NULL, 10)) },
		.epoll_fd = epoll_create1(EPOLL_CLOEXEC),
		.count = strtoul(argv[4], NULL, 10),
	};
	size_t rounds = strtoul(argv[5], NULL, 10);
	client.address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	client.streams = calloc(client.count, sizeof(*client.streams));
	if (client.streams == NULL || client.epoll_fd < 0 || client.count == 0 || rounds == 0) {
		die("bad arguments or no memory");
	}
	long before_kib = argc > 6 ? resident_kib(argv[6]) : 0;
	double start_ms = now_ms();
	streams_open(&client, &stream);
	(void)printf("%zu streams open after %.0f ms\n", client.count, now_ms() - start_ms);
	struct probe *probe = argc > 7 ? probe_start(&client, argv[7]) : NULL;
	rounds_run(&client, triggers, rounds);
	if (probe != NULL) {
		probe_finish(probe);
	}
	if (argc > 6) {
		(void)printf("resident: %.2f KiB a stream\n",
		             (double)(resident_kib(argv[6]) - before_kib) / (double)client.count);
	}
	free(client.streams);
	return 0;
}
