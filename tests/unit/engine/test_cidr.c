/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/cidr.h"

static bool contains(const char *prefix_text, const char *address_text)
{
	struct cidr prefix, address;
	if (!cidr_parse(prefix_text, strlen(prefix_text), &prefix)) {
		fail_msg("`%s` is a network", prefix_text);
	}
	if (!cidr_parse_address(address_text, strlen(address_text), &address)) {
		fail_msg("`%s` is an address", address_text);
	}
	return cidr_contains(&prefix, &address);
}

static void networks_hold_their_addresses(void **state)
{
	(void)state;
	static const struct {
		const char *prefix, *inside, *outside;
	} cases[] = {
		{ "10.0.0.0/8", "10.255.0.1", "11.0.0.0" },
		{ "192.168.1.0/24", "192.168.1.255", "192.168.2.0" },
		{ "192.168.1.128/25", "192.168.1.128", "192.168.1.127" },
		{ "192.168.1.254/31", "192.168.1.255", "192.168.1.253" },
		{ "192.168.1.7/32", "192.168.1.7", "192.168.1.6" },
		{ "192.168.1.7", "192.168.1.7", "192.168.1.8" },
		{ "128.0.0.0/1", "255.255.255.255", "127.255.255.255" },
		{ "0.0.0.0/0", "255.255.255.255", "::1" },
		{ "2001:db8::/32", "2001:db8:ffff::1", "2001:db9::" },
		{ "2001:db8::/127", "2001:db8::1", "2001:db8::2" },
		{ "2001:db8::1", "2001:DB8:0::0001", "2001:db8::2" },
		{ "fe80::/10", "febf::1", "fec0::1" },
		{ "::/0", "ffff::1", "1.2.3.4" },
		{ "::ffff:10.0.0.0/104", "10.1.2.3", "11.1.2.3" },
		{ "10.0.0.0/8", "::ffff:10.1.2.3", "::ffff:11.1.2.3" },
		{ "10.0.0.0/8", "::ffff:a01:203", "::10.1.2.3" },
		{ "::ffff:0:0/96", "1.2.3.4", "::1" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (!contains(cases[i].prefix, cases[i].inside) ||
		    contains(cases[i].prefix, cases[i].outside)) {
			fail_msg("`%s` holds `%s` and not `%s`", cases[i].prefix, cases[i].inside,
			         cases[i].outside);
		}
	}
}

static void every_prefix_length_ends_at_its_bit(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits <= 128; bits++) {
		struct cidr prefix = { .is_v6 = true, .bits = (uint8_t)bits };
		for (unsigned flipped = 0; flipped < 128; flipped++) {
			struct cidr address = { .is_v6 = true, .bits = 128 };
			address.bytes[flipped / 8] = (uint8_t)(0x80u >> (flipped % 8));
			assert_int_equal(cidr_contains(&prefix, &address), flipped >= bits);
		}
	}
}

static void a_wider_prefix_is_not_inside(void **state)
{
	(void)state;
	struct cidr wide, narrow;
	assert_true(cidr_parse("10.0.0.0/8", 10, &wide));
	assert_true(cidr_parse("10.0.0.0/16", 11, &narrow));
	assert_true(cidr_contains(&wide, &narrow));
	assert_false(cidr_contains(&narrow, &wide));
}

static void mapped_addresses_are_ipv4(void **state)
{
	(void)state;
	struct cidr mapped, plain;
	assert_true(cidr_parse("::ffff:10.0.0.0/104", 19, &mapped));
	assert_true(cidr_parse("10.0.0.0/8", 10, &plain));
	assert_int_equal(mapped.bits, 8);
	assert_false(mapped.is_v6);
	assert_memory_equal(mapped.bytes, plain.bytes, sizeof(plain.bytes));
}

static void wrong_texts_are_refused(void **state)
{
	(void)state;
	static const char *const texts[] = {
		"",
		"/",
		"/8",
		"10.0.0.0/",
		"10.0.0.0/33",
		"10.0.0.0/-1",
		"10.0.0.0/+8",
		"10.0.0.0/08",
		"10.0.0.0/8 ",
		" 10.0.0.0/8",
		"10.0.0.0/8/8",
		"10.0.0.0/ 8",
		"10.0.0.0/a",
		"10.0.0.0/1000",
		"10.0.0.1/8",
		"10.0.0/8",
		"10.0.0.0.0",
		"010.0.0.0",
		"10.0.0.256",
		"10",
		"0x0a.0.0.1",
		"10.0.0.-1",
		"2001:db8::/129",
		"2001:db8::1/32",
		"2001:db8::/256",
		"2001:db8:::",
		"1::2::3",
		"::12345",
		"fe80::1%eth0",
		"fe80::1%1/64",
		"[::1]",
		"::ffff:10.0.0.1/104",
		"::ffff:0:0/95",
		"::ffff:1.2.3.4/64",
		"example.com",
		"1.2.3.4:80",
		"0000:0000:0000:0000:0000:ffff:255.255.255.2555",
		"00000000000000000000000000000000000000000000000000001.2.3.4",
	};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct cidr cidr = { .bits = 77 };
		if (cidr_parse(texts[i], strlen(texts[i]), &cidr)) {
			fail_msg("`%s` is not a network", texts[i]);
		}
		assert_int_equal(cidr.bits, 77);
	}
	struct cidr address = { .bits = 77 };
	assert_false(cidr_parse_address("10.0.0.0/8", 10, &address));
	assert_false(cidr_parse_address("10.0.0.0/32", 11, &address));
	assert_false(cidr_parse_address("10.0.0.1\0", 9, &address));
	assert_false(cidr_parse_address("", 0, &address));
	assert_int_equal(address.bits, 77);
}

/* Text that does not end in a NUL is not read behind its end. */
static void length_is_the_end(void **state)
{
	(void)state;
	static const char full[] = "2001:db8::/32";
	for (size_t length = 0; length < sizeof(full); length++) {
		char *text = malloc(length == 0 ? 1 : length);
		assert_non_null(text);
		memcpy(text, full, length);
		struct cidr cidr;
		const bool is_whole = length == strlen("2001:db8::") || length == strlen("2001:db8::/32");
		assert_int_equal(cidr_parse(text, length, &cidr), is_whole);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(networks_hold_their_addresses),
		cmocka_unit_test(every_prefix_length_ends_at_its_bit),
		cmocka_unit_test(a_wider_prefix_is_not_inside),
		cmocka_unit_test(mapped_addresses_are_ipv4),
		cmocka_unit_test(wrong_texts_are_refused),
		cmocka_unit_test(length_is_the_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
