/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IPv4 and IPv6 addresses and prefixes. An IPv4-mapped IPv6 address (::ffff:1.2.3.4) is the IPv4
 * address, and so is a prefix of them (::ffff:10.0.0.0/104 is 10.0.0.0/8); ::/0 therefore does not
 * hold IPv4. Leading zeros, zone ids and spaces are refused. Pure, no allocation, thread-safe.
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

/* Are all of @address's bits in @prefix? False across the families. */
bool cidr_contains(const struct cidr *prefix, const struct cidr *address);
