/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/cidr.h"

#include <arpa/inet.h>
#include <string.h>

#define CIDR_V4_BITS     32
#define CIDR_V6_BITS     128
#define CIDR_MAPPED_BITS 96 /* ::ffff:0:0/96 holds the IPv4 addresses */

static const uint8_t cidr_mapped_prefix[CIDR_MAPPED_BITS / 8] = { [10] = 0xff, [11] = 0xff };

/* The address as it is written: a mapped one is still IPv6. */
static bool cidr_address_read(const char *text, size_t length, struct cidr *ret)
{
	char copy[INET6_ADDRSTRLEN];
	if (length == 0 || length >= sizeof(copy) || memchr(text, '\0', length) != NULL) {
		return false;
	}
	memcpy(copy, text, length);
	copy[length] = '\0';
	struct cidr address = { .is_v6 = strchr(copy, ':') != NULL };
	address.bits = address.is_v6 ? CIDR_V6_BITS : CIDR_V4_BITS;
	if (inet_pton(address.is_v6 ? AF_INET6 : AF_INET, copy, address.bytes) != 1) {
		return false;
	}
	*ret = address;
	return true;
}

/* Decimal without sign and leading zeros, at most @max. */
static bool cidr_bits_read(const char *text, size_t length, uint8_t max, uint8_t *ret)
{
	if (length == 0 || length > 3 || (text[0] == '0' && length > 1)) {
		return false;
	}
	unsigned bits = 0;
	for (size_t i = 0; i < length; i++) {
		if (text[i] < '0' || text[i] > '9') {
			return false;
		}
		bits = bits * 10 + (unsigned)(text[i] - '0');
	}
	if (bits > max) {
		return false;
	}
	*ret = (uint8_t)bits;
	return true;
}

static void cidr_unmap(struct cidr *cidr)
{
	if (cidr->is_v6 && cidr->bits >= CIDR_MAPPED_BITS &&
	    memcmp(cidr->bytes, cidr_mapped_prefix, sizeof(cidr_mapped_prefix)) == 0) {
		memmove(cidr->bytes, cidr->bytes + sizeof(cidr_mapped_prefix), CIDR_V4_BITS / 8);
		memset(cidr->bytes + CIDR_V4_BITS / 8, 0, sizeof(cidr->bytes) - CIDR_V4_BITS / 8);
		cidr->bits = (uint8_t)(cidr->bits - CIDR_MAPPED_BITS);
		cidr->is_v6 = false;
	}
}

/* Mask of the first @bits bits of a byte. */
static uint8_t cidr_byte_mask(unsigned bits)
{
	return (uint8_t)(0xff00u >> bits);
}

static bool cidr_host_is_zero(const struct cidr *cidr)
{
	const size_t size = cidr->is_v6 ? CIDR_V6_BITS / 8 : CIDR_V4_BITS / 8;
	for (size_t i = cidr->bits / 8; i < size; i++) {
		const uint8_t network = i == cidr->bits / 8 ? cidr_byte_mask(cidr->bits % 8) : 0;
		if ((cidr->bytes[i] & ~network) != 0) {
			return false;
		}
	}
	return true;
}

bool cidr_parse(const char *text, size_t length, struct cidr *ret)
{
	const char *slash = memchr(text, '/', length);
	const size_t address_length = slash == NULL ? length : (size_t)(slash - text);
	struct cidr cidr;
	if (!cidr_address_read(text, address_length, &cidr)) {
		return false;
	}
	if (slash != NULL && !cidr_bits_read(slash + 1, length - address_length - 1, cidr.bits, &cidr.bits)) {
		return false;
	}
	if (!cidr_host_is_zero(&cidr)) {
		return false;
	}
	cidr_unmap(&cidr);
	*ret = cidr;
	return true;
}

bool cidr_parse_address(const char *text, size_t length, struct cidr *ret)
{
	struct cidr address;
	if (!cidr_address_read(text, length, &address)) {
		return false;
	}
	cidr_unmap(&address);
	*ret = address;
	return true;
}

bool cidr_contains(const struct cidr *prefix, const struct cidr *address)
{
	if (prefix->is_v6 != address->is_v6 || address->bits < prefix->bits) {
		return false;
	}
	const size_t whole = prefix->bits / 8;
	if (memcmp(prefix->bytes, address->bytes, whole) != 0) {
		return false;
	}
	const uint8_t mask = cidr_byte_mask(prefix->bits % 8);
	return mask == 0 || ((prefix->bytes[whole] ^ address->bytes[whole]) & mask) == 0;
}
