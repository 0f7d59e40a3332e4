/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IPv4 and IPv6 addresses and prefixes. An IPv4-mapped IPv6 address (::ffff:1.2.3.4) is the IPv4
 * address. Pure, no allocation, thread-safe.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cidr {
	uint8_t bytes[16]; /* IPv4 in the first four */
	uint8_t bits;      /* prefix length */
	bool is_v6;
};

/* "10.0.0.0/8", "2001:db8::/32", or an address alone (its full length). Host bits must be zero. */
bool cidr_parse(const char *text, size_t length, struct cidr *ret);

/* An address alone; host form of cidr_parse(). */
bool cidr_parse_address(const char *text, size_t length, struct cidr *ret);

bool cidr_contains(const struct cidr *prefix, const struct cidr *address);
