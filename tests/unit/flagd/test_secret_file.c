/* SPDX-License-Identifier: Apache-2.0 */
#include "flagd/secret_file.h"

#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

static const char *const names[] = { "pepper.key", "signing.key", "signing.pub", "elsewhere" };

static char dir[64];

static const char *path_of(const char *name)
{
	static char path[128];
	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static int folder_make(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/halyard-secret-XXXXXX");
	return sodium_init() < 0 || mkdtemp(dir) == NULL ? -1 : 0;
}

static int folder_remove(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		(void)unlink(path_of(names[i]));
	}
	return rmdir(dir);
}

static void file_write(const char *name, const char *text, mode_t mode)
{
	(void)unlink(path_of(name));
	FILE *file = fopen(path_of(name), "w");
	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path_of(name), mode), 0);
}

static void text_of(const char *name, char *ret, size_t size)
{
	FILE *file = fopen(path_of(name), "r");
	assert_non_null(file);
	ret[fread(ret, 1, size - 1, file)] = '\0';
	assert_int_equal(fclose(file), 0);
}

static mode_t mode_of(const char *name)
{
	struct stat info;
	assert_int_equal(lstat(path_of(name), &info), 0);
	return info.st_mode & 07777;
}

static void pepper_refused(enum status expected, const char *sentence)
{
	struct error err = ERROR_INIT;
	uint8_t pepper[SECRET_PEPPER_BYTES];
	memset(pepper, 0x5a, sizeof(pepper));
	assert_int_equal(secret_file_pepper(dir, true, pepper, &err), expected);
	assert_int_equal(err.status, expected);
	assert_non_null(strstr(err.message, path_of("pepper.key")));
	assert_non_null(strstr(err.message, sentence));
	for (size_t i = 0; i < sizeof(pepper); i++) {
		assert_int_equal(pepper[i], 0x5a);
	}
	assert_int_not_equal(secret_file_pepper(dir, true, pepper, NULL), STATUS_OK);
}

static void pepper_is_made_once(void **state)
{
	(void)state;
	struct error err = ERROR_INIT;
	uint8_t first[SECRET_PEPPER_BYTES] = { 0 }, again[SECRET_PEPPER_BYTES] = { 0 };
	assert_int_equal(secret_file_pepper(dir, true, first, &err), STATUS_OK);
	assert_int_equal(secret_file_pepper(dir, true, again, &err), STATUS_OK);
	assert_memory_equal(first, again, sizeof(first));
	assert_int_equal(secret_file_pepper(dir, false, again, &err), STATUS_OK);
	assert_false(sodium_is_zero(first, sizeof(first)));
	assert_int_equal(mode_of("pepper.key"), 0600);
	char text[64];
	text_of("pepper.key", text, sizeof(text));
	assert_int_equal(strlen(text), 45);
	assert_int_equal(text[44], '\n');
}

static void missing_pepper_of_an_old_folder_is_refused(void **state)
{
	(void)state;
	struct error err = ERROR_INIT;
	uint8_t pepper[SECRET_PEPPER_BYTES];
	assert_int_equal(secret_file_pepper(dir, false, pepper, &err), STATUS_NOT_FOUND);
	assert_non_null(strstr(err.message, "restore it from the backup"));
	assert_int_equal(access(path_of("pepper.key"), F_OK), -1);
}

#define GOOD_LINE "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

static void known_file_is_read(void **state)
{
	(void)state;
	struct error err = ERROR_INIT;
	uint8_t pepper[SECRET_PEPPER_BYTES];
	static const char *const lines[] = { GOOD_LINE, GOOD_LINE "\n" };
	for (size_t i = 0; i < 2; i++) {
		file_write("pepper.key", lines[i], 0400);
		assert_int_equal(secret_file_pepper(dir, false, pepper, &err), STATUS_OK);
		for (size_t at = 0; at < sizeof(pepper); at++) {
			assert_int_equal(pepper[at], at);
		}
	}
}

static void wrong_contents_are_refused(void **state)
{
	(void)state;
	static const char *const wrong[] = {
		"",
		"\n",
		"AAECAwQFBgcICQoLDA0ODw==\n",
		GOOD_LINE "\n\n",
		GOOD_LINE " ",
		GOOD_LINE GOOD_LINE,
		"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8 ",
		"*AECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
		"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9=", /* bits behind the last byte */
	};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		file_write("pepper.key", wrong[i], 0600);
		pepper_refused(STATUS_CORRUPT, "base64 of 32 bytes");
	}
}

static void readable_by_others_is_refused(void **state)
{
	(void)state;
	static const mode_t modes[] = { 0640, 0604, 0660, 0601, 0620, 0644, 0666 };
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		file_write("pepper.key", GOOD_LINE, modes[i]);
		pepper_refused(STATUS_UNTRUSTED, "run: chmod 600 ");
	}
}

static void another_users_file_is_refused(void **state)
{
	(void)state;
	file_write("pepper.key", GOOD_LINE, 0600);
	if (chown(path_of("pepper.key"), 12345, (gid_t)-1) != 0) {
		skip(); /* only root can give a file away */
	}
	pepper_refused(STATUS_UNTRUSTED, "belongs to user 12345");
}

static void links_and_special_files_are_refused(void **state)
{
	(void)state;
	char target[128];
	file_write("elsewhere", GOOD_LINE, 0600);
	(void)snprintf(target, sizeof(target), "%s", path_of("elsewhere"));
	assert_int_equal(symlink(target, path_of("pepper.key")), 0);
	pepper_refused(STATUS_UNTRUSTED, "symbolic link");
	assert_int_equal(unlink(path_of("pepper.key")), 0);
	assert_int_equal(mkfifo(path_of("pepper.key"), 0600), 0);
	pepper_refused(STATUS_UNTRUSTED, "regular file");
	assert_int_equal(unlink(path_of("pepper.key")), 0);
	assert_int_equal(mkdir(path_of("pepper.key"), 0700), 0);
	pepper_refused(STATUS_UNTRUSTED, "regular file");
	assert_int_equal(rmdir(path_of("pepper.key")), 0);
}

static void signing_key_is_made_once_and_signs(void **state)
{
	(void)state;
	struct error err = ERROR_INIT;
	uint8_t public_key[SECRET_SIGNING_PUBLIC_BYTES], secret_key[SECRET_SIGNING_SECRET_BYTES];
	uint8_t public_again[SECRET_SIGNING_PUBLIC_BYTES], secret_again[SECRET_SIGNING_SECRET_BYTES];
	assert_int_equal(secret_file_signing(dir, true, public_key, secret_key, &err), STATUS_OK);
	assert_int_equal(secret_file_signing(dir, false, public_again, secret_again, &err), STATUS_OK);
	assert_memory_equal(public_key, public_again, sizeof(public_key));
	assert_memory_equal(secret_key, secret_again, sizeof(secret_key));
	assert_int_equal(mode_of("signing.key"), 0600);
	assert_int_equal(mode_of("signing.pub"), 0644);

	uint8_t signature[crypto_sign_BYTES];
	const uint8_t message[] = "halyard";
	assert_int_equal(crypto_sign_detached(signature, NULL, message, sizeof(message), secret_key), 0);
	assert_int_equal(crypto_sign_verify_detached(signature, message, sizeof(message), public_key), 0);

	char line[64], expected[64];
	text_of("signing.pub", line, sizeof(line));
	(void)sodium_bin2base64(expected, sizeof(expected) - 1, public_key, sizeof(public_key),
	                        sodium_base64_VARIANT_ORIGINAL);
	line[strcspn(line, "\n")] = '\0';
	assert_string_equal(line, expected);
}

static void missing_public_key_is_written_again(void **state)
{
	(void)state;
	uint8_t public_key[SECRET_SIGNING_PUBLIC_BYTES], secret_key[SECRET_SIGNING_SECRET_BYTES];
	char before[64], after[64];
	assert_int_equal(secret_file_signing(dir, true, public_key, secret_key, NULL), STATUS_OK);
	text_of("signing.pub", before, sizeof(before));
	assert_int_equal(unlink(path_of("signing.pub")), 0);
	assert_int_equal(secret_file_signing(dir, false, public_key, secret_key, NULL), STATUS_OK);
	text_of("signing.pub", after, sizeof(after));
	assert_string_equal(before, after);
}

static void foreign_public_key_is_refused(void **state)
{
	(void)state;
	struct error err = ERROR_INIT;
	uint8_t public_key[SECRET_SIGNING_PUBLIC_BYTES], secret_key[SECRET_SIGNING_SECRET_BYTES];
	assert_int_equal(secret_file_signing(dir, true, public_key, secret_key, NULL), STATUS_OK);
	static const char *const wrong[] = { GOOD_LINE "\n", "", "no key" };
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		file_write("signing.pub", wrong[i], 0644);
		assert_int_equal(secret_file_signing(dir, true, public_key, secret_key, &err),
		                 STATUS_UNTRUSTED);
		assert_non_null(strstr(err.message, path_of("signing.pub")));
	}
}

static void lost_signing_key_is_not_replaced(void **state)
{
	(void)state;
	struct error err = ERROR_INIT;
	uint8_t public_key[SECRET_SIGNING_PUBLIC_BYTES], secret_key[SECRET_SIGNING_SECRET_BYTES];
	assert_int_equal(secret_file_signing(dir, false, public_key, secret_key, &err), STATUS_NOT_FOUND);
	assert_int_equal(secret_file_signing(dir, true, public_key, secret_key, NULL), STATUS_OK);
	assert_int_equal(unlink(path_of("signing.key")), 0);
	assert_int_equal(secret_file_signing(dir, true, public_key, secret_key, &err), STATUS_NOT_FOUND);
	assert_non_null(strstr(err.message, "restore signing.key"));
	assert_int_equal(access(path_of("signing.key"), F_OK), -1);
}

static void unusable_folders_are_named(void **state)
{
	(void)state;
	struct error err = ERROR_INIT;
	uint8_t pepper[SECRET_PEPPER_BYTES];
	assert_int_not_equal(secret_file_pepper("/nonexistent/halyard", true, pepper, &err), STATUS_OK);
	assert_non_null(strstr(err.message, "/nonexistent/halyard"));
	char long_dir[PATH_MAX];
	memset(long_dir, 'a', sizeof(long_dir) - 1);
	long_dir[sizeof(long_dir) - 1] = '\0';
	assert_int_equal(secret_file_pepper(long_dir, true, pepper, &err), STATUS_INVALID);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_make, folder_remove)
	const struct CMUnitTest tests[] = {
		TEST(pepper_is_made_once),
		TEST(missing_pepper_of_an_old_folder_is_refused),
		TEST(known_file_is_read),
		TEST(wrong_contents_are_refused),
		TEST(readable_by_others_is_refused),
		TEST(another_users_file_is_refused),
		TEST(links_and_special_files_are_refused),
		TEST(signing_key_is_made_once_and_signs),
		TEST(missing_public_key_is_written_again),
		TEST(foreign_public_key_is_refused),
		TEST(lost_signing_key_is_not_replaced),
		TEST(unusable_folders_are_named),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
