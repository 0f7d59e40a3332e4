/* SPDX-License-Identifier: Apache-2.0 */
#include "client/address.h"

#include <curl/curl.h>
#include <stdbool.h>
#include <string.h>

/* Is that part of the URL there? */
static bool url_has(CURLU *url, CURLUPart part)
{
	char *text = NULL;
	bool is_there = curl_url_get(url, part, &text, 0) == CURLUE_OK;
	curl_free(text);
	return is_there;
}

static bool url_has_scheme(CURLU *url, const char *scheme)
{
	char *text = NULL;
	bool is_it = curl_url_get(url, CURLUPART_SCHEME, &text, 0) == CURLUE_OK && strcmp(text, scheme) == 0;
	curl_free(text);
	return is_it;
}

enum status address_check(const char *url, char out[static ADDRESS_SIZE], struct error *err)
{
	size_t length = strlen(url);
	while (length > 0 && url[length - 1] == '/') {
		length--;
	}
	if (length + ADDRESS_PATH_MAX_BYTES > ADDRESS_SIZE) {
		return error_fail(err, STATUS_INVALID, "url is longer than %d bytes",
		                  ADDRESS_SIZE - ADDRESS_PATH_MAX_BYTES);
	}
	CURLU *parsed = curl_url();
	if (parsed == NULL) {
		return error_fail(err, STATUS_NO_MEMORY, "Out of memory");
	}
	enum status status = STATUS_OK;
	if (curl_url_set(parsed, CURLUPART_URL, url, 0) != CURLUE_OK ||
	    (!url_has_scheme(parsed, "http") && !url_has_scheme(parsed, "https"))) {
		status = error_fail(err, STATUS_INVALID,
		                    "url must be an http or https address, such as http://127.0.0.1:8016");
	} else if (url_has(parsed, CURLUPART_USER) || url_has(parsed, CURLUPART_PASSWORD)) {
		status = error_fail(err, STATUS_INVALID,
		                    "url must not hold a user or password; use the token");
	} else if (url_has(parsed, CURLUPART_QUERY) || url_has(parsed, CURLUPART_FRAGMENT)) {
		status = error_fail(err, STATUS_INVALID, "url must not have a query or fragment");
	}
	curl_url_cleanup(parsed);
	if (status == STATUS_OK) {
		memcpy(out, url, length);
		out[length] = '\0';
	}
	return status;
}
