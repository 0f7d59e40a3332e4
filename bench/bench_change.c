/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a change that flagd answered to the callback in a program that links libhalyard, both in one process
 * and by one clock.
 *
 *	bench_change URL OWNER_TOKEN CLIENT_TOKEN PUBLIC_KEY FLAG CHANGES
 *
 * Turns FLAG off and on in environment prod, one change after the other. Prints p50, p99 and the longest in ms, from
 * the answer (negative: the callback came first) and from the request.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <curl/curl.h>
#include <halyard/halyard.h>

#define WAIT_S 10

struct arrivals {
	pthread_mutex_t lock;
	pthread_cond_t arrived;
	unsigned count;
	double latest_ms;
};

static struct arrivals arrivals = { .lock = PTHREAD_MUTEX_INITIALIZER, .arrived = PTHREAD_COND_INITIALIZER };

static double now_ms(void)
{
	struct timespec now;
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void changed(void *user, const struct halyard_change *change)
{
	double ms = now_ms();
	(void)user;
	(void)change;
	(void)pthread_mutex_lock(&arrivals.lock);
	arrivals.count++;
	arrivals.latest_ms = ms;
	(void)pthread_cond_signal(&arrivals.arrived);
	(void)pthread_mutex_unlock(&arrivals.lock);
}

static bool arrival_wait(unsigned count, double *ret_ms)
{
	struct timespec until;
	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += WAIT_S;
	(void)pthread_mutex_lock(&arrivals.lock);
	while (arrivals.count < count &&
	       pthread_cond_timedwait(&arrivals.arrived, &arrivals.lock, &until) == 0) {
	}
	bool is_there = arrivals.count == count;
	*ret_ms = arrivals.latest_ms;
	(void)pthread_mutex_unlock(&arrivals.lock);
	return is_there;
}

static size_t body_drop(const char *bytes, size_t size, size_t count, void *user)
{
	(void)bytes;
	(void)user;
	return size * count;
}

static CURL *changer_new(const char *url, const char *token, const char *flag,
                         struct curl_slist **ret_headers)
{
	char text[512];
	(void)snprintf(text, sizeof(text), "Authorization: Bearer %s", token);
	*ret_headers = curl_slist_append(NULL, text);
	*ret_headers = curl_slist_append(*ret_headers, "Content-Type: application/json");
	CURL *curl = curl_easy_init();
	(void)snprintf(text, sizeof(text), "%s/api/v1/flags/%s/environments/prod", url, flag);
	(void)curl_easy_setopt(curl, CURLOPT_URL, text);
	(void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, *ret_headers);
	(void)curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, "PATCH");
	(void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, body_drop);
	(void)curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
	return curl;
}

static int compare(const void *a, const void *b)
{
	double left = *(const double *)a;
	double right = *(const double *)b;
	return (left > right) - (left < right);
}

static void report(const char *name, double *ms, size_t count)
{
	qsort(ms, count, sizeof(ms[0]), compare);
	(void)printf("%s p50 %.3f p99 %.3f max %.3f\n", name, ms[count / 2], ms[count * 99 / 100],
	             ms[count - 1]);
}

static bool changes_run(CURL *curl, size_t count)
{
	double *from_answer = calloc(count, sizeof(*from_answer));
	double *from_request = calloc(count, sizeof(*from_request));
	bool is_well = from_answer != NULL && from_request != NULL;
	for (size_t i = 0; i < count && is_well; i++) {
		double arrived_ms = 0;
		(void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS,
		                       i % 2 == 0 ? "{\"enabled\":false}" : "{\"enabled\":true}");
		double start_ms = now_ms();
		CURLcode code = curl_easy_perform(curl);
		double answered_ms = now_ms();
		is_well = code == CURLE_OK && arrival_wait((unsigned)i + 1, &arrived_ms);
		from_answer[i] = arrived_ms - answered_ms;
		from_request[i] = arrived_ms - start_ms;
		if (!is_well) {
			(void)fprintf(stderr, "bench_change: change %zu: %s\n", i,
			              code == CURLE_OK ? "no callback" : curl_easy_strerror(code));
		}
	}
	if (is_well) {
		report("answer", from_answer, count);
		report("request", from_request, count);
	}
	free(from_answer);
	free(from_request);
	return is_well;
}

int main(int argc, char **argv)
{
	size_t count = argc == 7 ? strtoul(argv[6], NULL, 10) : 0;
	if (count == 0) {
		(void)fprintf(stderr,
		              "usage: bench_change URL OWNER_TOKEN CLIENT_TOKEN PUBLIC_KEY FLAG CHANGES\n");
		return 2;
	}
	(void)curl_global_init(CURL_GLOBAL_DEFAULT);
	struct halyard_client *client = NULL;
	struct halyard_options options = { .size = sizeof(options),
		                           .url = argv[1],
		                           .token = argv[3],
		                           .environment = "prod",
		                           .public_key = argv[4] };
	if (halyard_open(&client, &options) != HALYARD_OK ||
	    halyard_wait_ready(client, WAIT_S * 1000) != HALYARD_OK) {
		(void)fprintf(stderr, "bench_change: the client is not ready\n");
		return 1;
	}
	/* Ready may come of a poll; what is measured is the stream. */
	struct halyard_status status = { .size = sizeof(status) };
	double until_ms = now_ms() + WAIT_S * 1000.0;
	do {
		(void)nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
		halyard_status(client, &status);
	} while (status.state != HALYARD_STATE_STREAMING && now_ms() < until_ms);
	(void)halyard_subscribe(client, changed, NULL);
	struct curl_slist *headers = NULL;
	CURL *curl = changer_new(argv[1], argv[2], argv[5], &headers);
	bool is_well = status.state == HALYARD_STATE_STREAMING && changes_run(curl, count);
	curl_easy_cleanup(curl);
	curl_slist_free_all(headers);
	halyard_close(client);
	curl_global_cleanup();
	return is_well ? 0 : 1;
}
