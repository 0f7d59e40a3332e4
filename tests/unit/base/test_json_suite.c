/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cases of JSONTestSuite (N. Seriot, https://github.com/nst/JSONTestSuite), by their names there, and what the strict
 * scanner says to them. Cases that it calls implementation-defined (i_) are in the table of our choice.
 */
#include "tests/unit/base/document.h"

struct sample {
	const char *name;
	const char *text;
	size_t length;
};

#define SAMPLE(name, text)                   \
	{                                    \
		name, text, sizeof(text) - 1 \
	}

/* clang-format off */
static const struct sample accepted[] = {
	SAMPLE("array_arraysWithSpaces", "[[]   ]"),
	SAMPLE("array_empty-string", "[\"\"]"),
	SAMPLE("array_empty", "[]"),
	SAMPLE("array_ending_with_newline", "[\"a\"]\n"),
	SAMPLE("array_false", "[false]"),
	SAMPLE("array_heterogeneous", "[null, 1, \"1\", {}]"),
	SAMPLE("array_null", "[null]"),
	SAMPLE("array_with_1_and_newline", "[1\n]"),
	SAMPLE("array_with_leading_space", " [1]"),
	SAMPLE("array_with_several_null", "[1,null,null,null,2]"),
	SAMPLE("array_with_trailing_space", "[2] "),
	SAMPLE("number", "[123e65]"),
	SAMPLE("number_0e+1", "[0e+1]"),
	SAMPLE("number_0e1", "[0e1]"),
	SAMPLE("number_after_space", "[ 4]"),
	SAMPLE("number_double_close_to_zero", "[-0.000000000000000000000000000000000000000000000000000000000000000000000000000001]\n"),
	SAMPLE("number_int_with_exp", "[20e1]"),
	SAMPLE("number_minus_zero", "[-0]"),
	SAMPLE("number_negative_int", "[-123]"),
	SAMPLE("number_negative_one", "[-1]"),
	SAMPLE("number_negative_zero", "[-0]"),
	SAMPLE("number_real_capital_e", "[1E22]"),
	SAMPLE("number_real_capital_e_neg_exp", "[1E-2]"),
	SAMPLE("number_real_capital_e_pos_exp", "[1E+2]"),
	SAMPLE("number_real_exponent", "[123e45]"),
	SAMPLE("number_real_fraction_exponent", "[123.456e78]"),
	SAMPLE("number_real_neg_exp", "[1e-2]"),
	SAMPLE("number_real_pos_exponent", "[1e+2]"),
	SAMPLE("number_simple_int", "[123]"),
	SAMPLE("number_simple_real", "[123.456789]"),
	SAMPLE("object", "{\"asd\":\"sdf\", \"dfg\":\"fgh\"}"),
	SAMPLE("object_basic", "{\"asd\":\"sdf\"}"),
	SAMPLE("object_empty", "{}"),
	SAMPLE("object_empty_key", "{\"\":0}"),
	SAMPLE("object_extreme_numbers", "{ \"min\": -1.0e+28, \"max\": 1.0e+28 }"),
	SAMPLE("object_long_strings", "{\"x\":[{\"id\": \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}], \"id\": \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}"),
	SAMPLE("object_simple", "{\"a\":[]}"),
	SAMPLE("object_string_unicode", "{\"title\":\"\\u041f\\u043e\\u043b\\u0442\\u043e\\u0440\\u0430 \\u0417\\u0435\\u043c\\u043b\\u0435\\u043a\\u043e\\u043f\\u0430\" }"),
	SAMPLE("object_with_newlines", "{\n\"a\": \"b\"\n}"),
	SAMPLE("string_1_2_3_bytes_UTF-8_sequences", "[\"\\u0060\\u012a\\u12AB\"]"),
	SAMPLE("string_accepted_surrogate_pair", "[\"\\uD801\\udc37\"]"),
	SAMPLE("string_accepted_surrogate_pairs", "[\"\\ud83d\\ude39\\ud83d\\udc8d\"]"),
	SAMPLE("string_allowed_escapes", "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]"),
	SAMPLE("string_backslash_and_u_escaped_zero", "[\"\\\\u0000\"]"),
	SAMPLE("string_backslash_doublequotes", "[\"\\\"\"]"),
	SAMPLE("string_comments", "[\"a/*b*/c/*d//e\"]"),
	SAMPLE("string_double_escape_a", "[\"\\\\a\"]"),
	SAMPLE("string_double_escape_n", "[\"\\\\n\"]"),
	SAMPLE("string_escaped_control_character", "[\"\\u0012\"]"),
	SAMPLE("string_escaped_noncharacter", "[\"\\uFFFF\"]"),
	SAMPLE("string_in_array", "[\"asd\"]"),
	SAMPLE("string_in_array_with_leading_space", "[ \"asd\"]"),
	SAMPLE("string_last_surrogates_1_and_2", "[\"\\uDBFF\\uDFFF\"]"),
	SAMPLE("string_nbsp_uescaped", "[\"new\\u00A0line\"]"),
	SAMPLE("string_nonCharacterInUTF-8_U+10FFFF", "[\"\xf4\x8f\xbf\xbf\"]"),
	SAMPLE("string_nonCharacterInUTF-8_U+FFFF", "[\"\xef\xbf\xbf\"]"),
	SAMPLE("string_one-byte-utf-8", "[\"\\u002c\"]"),
	SAMPLE("string_pi", "[\"\xcf\x80\"]"),
	SAMPLE("string_reservedCharacterInUTF-8_U+1BFFF", "[\"\xf0\x9b\xbf\xbf\"]"),
	SAMPLE("string_simple_ascii", "[\"asd \"]"),
	SAMPLE("string_space", "\" \""),
	SAMPLE("string_surrogates_U+1D11E_MUSICAL_SYMBOL_G_CLEF", "[\"\\uD834\\uDd1e\"]"),
	SAMPLE("string_three-byte-utf-8", "[\"\\u0821\"]"),
	SAMPLE("string_two-byte-utf-8", "[\"\\u0123\"]"),
	SAMPLE("string_u+2028_line_sep", "[\"\xe2\x80\xa8\"]"),
	SAMPLE("string_u+2029_par_sep", "[\"\xe2\x80\xa9\"]"),
	SAMPLE("string_uEscape", "[\"\\u0061\\u30af\\u30EA\\u30b9\"]"),
	SAMPLE("string_uescaped_newline", "[\"new\\u000Aline\"]"),
	SAMPLE("string_unescaped_char_delete", "[\"\x7f\"]"),
	SAMPLE("string_unicode", "[\"\\uA66D\"]"),
	SAMPLE("string_unicodeEscapedBackslash", "[\"\\u005C\"]"),
	SAMPLE("string_unicode_2", "[\"\xe2\x8d\x82\xe3\x88\xb4\xe2\x8d\x82\"]"),
	SAMPLE("string_unicode_U+10FFFE_nonchar", "[\"\\uDBFF\\uDFFE\"]"),
	SAMPLE("string_unicode_U+1FFFE_nonchar", "[\"\\uD83F\\uDFFE\"]"),
	SAMPLE("string_unicode_U+200B_ZERO_WIDTH_SPACE", "[\"\\u200B\"]"),
	SAMPLE("string_unicode_U+2064_invisible_plus", "[\"\\u2064\"]"),
	SAMPLE("string_unicode_U+FDD0_nonchar", "[\"\\uFDD0\"]"),
	SAMPLE("string_unicode_U+FFFE_nonchar", "[\"\\uFFFE\"]"),
	SAMPLE("string_unicode_escaped_double_quote", "[\"\\u0022\"]"),
	SAMPLE("string_utf8", "[\"\xe2\x82\xac\xf0\x9d\x84\x9e\"]"),
	SAMPLE("string_with_del_character", "[\"a\x7f" "a\"]"),
	SAMPLE("structure_lonely_false", "false"),
	SAMPLE("structure_lonely_int", "42"),
	SAMPLE("structure_lonely_negative_real", "-0.1"),
	SAMPLE("structure_lonely_null", "null"),
	SAMPLE("structure_lonely_string", "\"asd\""),
	SAMPLE("structure_lonely_true", "true"),
	SAMPLE("structure_string_empty", "\"\""),
	SAMPLE("structure_trailing_newline", "[\"a\"]\n"),
	SAMPLE("structure_true_in_array", "[true]"),
	SAMPLE("structure_whitespace_array", " [] "),
	SAMPLE("i_number_double_huge_neg_exp", "[123.456e-789]"),
	SAMPLE("i_number_real_underflow", "[123e-10000000]"),
	SAMPLE("i_number_too_big_neg_int", "[-123123123123123123123123123123]"),
	SAMPLE("i_number_too_big_pos_int", "[100000000000000000000]"),
	SAMPLE("i_number_very_big_negative_int", "[-237462374673276894279832749832423479823246327846]"),
	SAMPLE("whitespace_of_every_kind", " \t\r\n{ \t\r\n\"a\" \t\r\n: \t\r\n[ \t\r\n1 \t\r\n, \t\r\n2 \t\r\n] \t\r\n} \t\r\n"),
};

static const struct sample refused[] = {
	SAMPLE("array_1_true_without_comma", "[1 true]"),
	SAMPLE("array_a_invalid_utf8", "[a\xe5]"),
	SAMPLE("array_colon_instead_of_comma", "[\"\": 1]"),
	SAMPLE("array_comma_after_close", "[\"\"],"),
	SAMPLE("array_comma_and_number", "[,1]"),
	SAMPLE("array_double_comma", "[1,,2]"),
	SAMPLE("array_double_extra_comma", "[\"x\",,]"),
	SAMPLE("array_extra_close", "[\"x\"]]"),
	SAMPLE("array_extra_comma", "[\"\",]"),
	SAMPLE("array_incomplete", "[\"x\""),
	SAMPLE("array_incomplete_invalid_value", "[x"),
	SAMPLE("array_inner_array_no_comma", "[3[4]]"),
	SAMPLE("array_invalid_utf8", "[\xff]"),
	SAMPLE("array_items_separated_by_semicolon", "[1:2]"),
	SAMPLE("array_just_comma", "[,]"),
	SAMPLE("array_just_minus", "[-]"),
	SAMPLE("array_missing_value", "[   , \"\"]"),
	SAMPLE("array_newlines_unclosed", "[\"a\",\n4\n,1,"),
	SAMPLE("array_number_and_comma", "[1,]"),
	SAMPLE("array_number_and_several_commas", "[1,,]"),
	SAMPLE("array_spaces_vertical_tab_formfeed", "[\"\x0b" "a\"\\f]"),
	SAMPLE("array_star_inside", "[*]"),
	SAMPLE("array_unclosed", "[\"\""),
	SAMPLE("array_unclosed_trailing_comma", "[1,"),
	SAMPLE("array_unclosed_with_new_lines", "[1,\n1\n,1"),
	SAMPLE("array_unclosed_with_object_inside", "[{}"),
	SAMPLE("incomplete_false", "[fals]"),
	SAMPLE("incomplete_null", "[nul]"),
	SAMPLE("incomplete_true", "[tru]"),
	SAMPLE("multidigit_number_then_00", "123\x00"),
	SAMPLE("number_++", "[++1234]"),
	SAMPLE("number_+1", "[+1]"),
	SAMPLE("number_+Inf", "[+Inf]"),
	SAMPLE("number_-01", "[-01]"),
	SAMPLE("number_-1.0.", "[-1.0.]"),
	SAMPLE("number_-2.", "[-2.]"),
	SAMPLE("number_-NaN", "[-NaN]"),
	SAMPLE("number_.-1", "[.-1]"),
	SAMPLE("number_.2e-3", "[.2e-3]"),
	SAMPLE("number_0.1.2", "[0.1.2]"),
	SAMPLE("number_0.3e+", "[0.3e+]"),
	SAMPLE("number_0.3e", "[0.3e]"),
	SAMPLE("number_0.e1", "[0.e1]"),
	SAMPLE("number_0_capital_E+", "[0E+]"),
	SAMPLE("number_0_capital_E", "[0E]"),
	SAMPLE("number_0e+", "[0e+]"),
	SAMPLE("number_0e", "[0e]"),
	SAMPLE("number_1.0e+", "[1.0e+]"),
	SAMPLE("number_1.0e-", "[1.0e-]"),
	SAMPLE("number_1.0e", "[1.0e]"),
	SAMPLE("number_1_000", "[1 000.0]"),
	SAMPLE("number_1eE2", "[1eE2]"),
	SAMPLE("number_2.e+3", "[2.e+3]"),
	SAMPLE("number_2.e-3", "[2.e-3]"),
	SAMPLE("number_2.e3", "[2.e3]"),
	SAMPLE("number_9.e+", "[9.e+]"),
	SAMPLE("number_Inf", "[Inf]"),
	SAMPLE("number_NaN", "[NaN]"),
	SAMPLE("number_U+FF11_fullwidth_digit_one", "[\xef\xbc\x91]"),
	SAMPLE("number_expression", "[1+2]"),
	SAMPLE("number_hex_1_digit", "[0x1]"),
	SAMPLE("number_hex_2_digits", "[0x42]"),
	SAMPLE("number_infinity", "[Infinity]"),
	SAMPLE("number_invalid+-", "[0e+-1]"),
	SAMPLE("number_invalid-negative-real", "[-123.123foo]"),
	SAMPLE("number_invalid-utf-8-in-bigger-int", "[123\xe5]"),
	SAMPLE("number_invalid-utf-8-in-exponent", "[1e1\xe5]"),
	SAMPLE("number_invalid-utf-8-in-int", "[0\xe5]\n"),
	SAMPLE("number_minus_infinity", "[-Infinity]"),
	SAMPLE("number_minus_sign_with_trailing_garbage", "[-foo]"),
	SAMPLE("number_minus_space_1", "[- 1]"),
	SAMPLE("number_neg_int_starting_with_zero", "[-012]"),
	SAMPLE("number_neg_real_without_int_part", "[-.123]"),
	SAMPLE("number_neg_with_garbage_at_end", "[-1x]"),
	SAMPLE("number_real_garbage_after_e", "[1ea]"),
	SAMPLE("number_real_with_invalid_utf8_after_e", "[1e\xe5]"),
	SAMPLE("number_real_without_fractional_part", "[1.]"),
	SAMPLE("number_starting_with_dot", "[.123]"),
	SAMPLE("number_with_alpha", "[1.2a-3]"),
	SAMPLE("number_with_alpha_char", "[1.8011670033376514H-308]"),
	SAMPLE("number_with_leading_zero", "[012]"),
	SAMPLE("number_double_zero", "[00]"),
	SAMPLE("object_bad_value", "[\"x\", truth]"),
	SAMPLE("object_bracket_key", "{[: \"x\"}\n"),
	SAMPLE("object_comma_instead_of_colon", "{\"x\", null}"),
	SAMPLE("object_double_colon", "{\"x\"::\"b\"}"),
	SAMPLE("object_emoji", "{\xf0\x9f\x87\xa8\xf0\x9f\x87\xad}"),
	SAMPLE("object_garbage_at_end", "{\"a\":\"a\" 123}"),
	SAMPLE("object_key_with_single_quotes", "{key: 'value'}"),
	SAMPLE("object_lone_continuation_byte_in_key_and_trailing_comma", "{\"\xb9\":\"0\",}"),
	SAMPLE("object_missing_colon", "{\"a\" b}"),
	SAMPLE("object_missing_key", "{:\"b\"}"),
	SAMPLE("object_missing_semicolon", "{\"a\" \"b\"}"),
	SAMPLE("object_missing_value", "{\"a\":"),
	SAMPLE("object_no-colon", "{\"a\""),
	SAMPLE("object_non_string_key", "{1:1}"),
	SAMPLE("object_non_string_key_but_huge_number_instead", "{9999E9999:1}"),
	SAMPLE("object_repeated_null_null", "{null:null,null:null}"),
	SAMPLE("object_several_trailing_commas", "{\"id\":0,,,,,}"),
	SAMPLE("object_single_quote", "{'a':0}"),
	SAMPLE("object_trailing_comma", "{\"id\":0,}"),
	SAMPLE("object_trailing_comment", "{\"a\":\"b\"}/**/"),
	SAMPLE("object_trailing_comment_open", "{\"a\":\"b\"}/**//"),
	SAMPLE("object_trailing_comment_slash_open", "{\"a\":\"b\"}//"),
	SAMPLE("object_trailing_comment_slash_open_incomplete", "{\"a\":\"b\"}/"),
	SAMPLE("object_two_commas_in_a_row", "{\"a\":\"b\",,\"c\":\"d\"}"),
	SAMPLE("object_unquoted_key", "{a: \"b\"}"),
	SAMPLE("object_unterminated-value", "{\"a\":\"a"),
	SAMPLE("object_with_single_string", "{ \"foo\" : \"bar\", \"a\" }"),
	SAMPLE("object_with_trailing_garbage", "{\"a\":\"b\"}#"),
	SAMPLE("object_closed_as_array", "{\"a\":1]"),
	SAMPLE("array_closed_as_object", "[1}"),
	SAMPLE("object_null_key", "{null:1}"),
	SAMPLE("single_space", " "),
	SAMPLE("string_1_surrogate_then_escape", "[\"\\uD800\\\"]"),
	SAMPLE("string_1_surrogate_then_escape_u", "[\"\\uD800\\u\"]"),
	SAMPLE("string_1_surrogate_then_escape_u1", "[\"\\uD800\\u1\"]"),
	SAMPLE("string_1_surrogate_then_escape_u1x", "[\"\\uD800\\u1x\"]"),
	SAMPLE("string_accentuated_char_no_quotes", "[\xc3\xa9]"),
	SAMPLE("string_backslash_00", "[\"\\\x00\"]"),
	SAMPLE("string_escape_x", "[\"\\x00\"]"),
	SAMPLE("string_escaped_backslash_bad", "[\"\\\\\\\"]"),
	SAMPLE("string_escaped_ctrl_char_tab", "[\"\\\t\"]"),
	SAMPLE("string_escaped_emoji", "[\"\\\xf0\x9f\x8c\x80\"]"),
	SAMPLE("string_incomplete_escape", "[\"\\\"]"),
	SAMPLE("string_incomplete_escaped_character", "[\"\\u00A\"]"),
	SAMPLE("string_incomplete_surrogate", "[\"\\uD834\\uDd\"]"),
	SAMPLE("string_incomplete_surrogate_escape_invalid", "[\"\\uD800\\uD800\\x\"]"),
	SAMPLE("string_invalid-utf-8-in-escape", "[\"\\u\xe5\"]"),
	SAMPLE("string_invalid_backslash_esc", "[\"\\a\"]"),
	SAMPLE("string_invalid_unicode_escape", "[\"\\uqqqq\"]"),
	SAMPLE("string_invalid_utf8_after_escape", "[\"\\\xe5\"]"),
	SAMPLE("string_leading_uescaped_thinspace", "[\\u0020\"asd\"]"),
	SAMPLE("string_no_quotes_with_bad_escape", "[\\n]"),
	SAMPLE("string_single_doublequote", "\""),
	SAMPLE("string_single_quote", "['single quote']"),
	SAMPLE("string_single_string_no_double_quotes", "abc"),
	SAMPLE("string_start_escape_unclosed", "[\"\\"),
	SAMPLE("string_unescaped_ctrl_char", "[\"a\x00" "a\"]"),
	SAMPLE("string_unescaped_newline", "[\"new\nline\"]"),
	SAMPLE("string_unescaped_tab", "[\"\t\"]"),
	SAMPLE("string_unescaped_1f", "[\"\x1f\"]"),
	SAMPLE("string_unicode_CapitalU", "\"\\UA66D\""),
	SAMPLE("string_with_trailing_garbage", "\"\"x"),
	SAMPLE("string_escape_end", "\"\\u"),
	SAMPLE("string_escape_three_digits", "\"\\u123"),
	SAMPLE("structure_angle_bracket_.", "<.>"),
	SAMPLE("structure_angle_bracket_null", "[<null>]"),
	SAMPLE("structure_array_trailing_garbage", "[1]x"),
	SAMPLE("structure_array_with_extra_array_close", "[1]]"),
	SAMPLE("structure_array_with_unclosed_string", "[\"asd]"),
	SAMPLE("structure_ascii-unicode-identifier", "a\xc3\xa5"),
	SAMPLE("structure_capitalized_True", "[True]"),
	SAMPLE("structure_close_unopened_array", "1]"),
	SAMPLE("structure_comma_instead_of_closing_brace", "{\"x\": true,"),
	SAMPLE("structure_double_array", "[][]"),
	SAMPLE("structure_end_array", "]"),
	SAMPLE("structure_incomplete_UTF8_BOM", "\xef\xbb{}"),
	SAMPLE("structure_lone-invalid-utf-8", "\xe5"),
	SAMPLE("structure_lone-open-bracket", "["),
	SAMPLE("structure_no_data", ""),
	SAMPLE("structure_null-byte-outside-string", "[\x00]"),
	SAMPLE("structure_number_with_trailing_garbage", "2@"),
	SAMPLE("structure_object_followed_by_closing_object", "{}}"),
	SAMPLE("structure_object_unclosed_no_value", "{\"\":"),
	SAMPLE("structure_object_with_comment", "{\"a\":/*comment*/\"b\"}"),
	SAMPLE("structure_object_with_trailing_garbage", "{\"a\": true} \"x\""),
	SAMPLE("structure_open_array_apostrophe", "['"),
	SAMPLE("structure_open_array_comma", "[,"),
	SAMPLE("structure_open_array_open_object", "[{"),
	SAMPLE("structure_open_array_open_string", "[\"a"),
	SAMPLE("structure_open_array_string", "[\"a\""),
	SAMPLE("structure_open_object", "{"),
	SAMPLE("structure_open_object_close_array", "{]"),
	SAMPLE("structure_open_object_comma", "{,"),
	SAMPLE("structure_open_object_open_array", "{["),
	SAMPLE("structure_open_object_open_string", "{\"a"),
	SAMPLE("structure_open_object_string_with_apostrophes", "{'a'"),
	SAMPLE("structure_open_open", "[\"\\{[\"\\{[\"\\{[\"\\{"),
	SAMPLE("structure_single_eacute", "\xe9"),
	SAMPLE("structure_single_star", "*"),
	SAMPLE("structure_trailing_#", "{\"a\":\"b\"}#{}"),
	SAMPLE("structure_uescaped_LF_before_string", "[\\u000A\"\"]"),
	SAMPLE("structure_unclosed_array", "[1"),
	SAMPLE("structure_unclosed_array_partial_null", "[ false, nul"),
	SAMPLE("structure_unclosed_array_unfinished_false", "[ true, fals"),
	SAMPLE("structure_unclosed_array_unfinished_true", "[ false, tru"),
	SAMPLE("structure_unclosed_object", "{\"asd\":\"asd\""),
	SAMPLE("structure_unicode-identifier", "\xc3\xa5"),
	SAMPLE("structure_UTF8_BOM_no_data", "\xef\xbb\xbf"),
	SAMPLE("structure_whitespace_U+2060_word_joiner", "[\xe2\x81\xa0]"),
	SAMPLE("structure_whitespace_formfeed", "[\x0c]"),
	SAMPLE("structure_nbsp", "[\xc2\xa0]"),
	SAMPLE("structure_null_behind", "[]\x00"),
	SAMPLE("i_number_huge_exp", "[0.4e00669999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999969999999006]"),
	SAMPLE("i_number_neg_int_huge_exp", "[-1e+9999]"),
	SAMPLE("i_number_pos_double_huge_exp", "[1.5e+9999]"),
	SAMPLE("i_number_real_neg_overflow", "[-123123e100000]"),
	SAMPLE("i_number_real_pos_overflow", "[123123e100000]"),
	SAMPLE("i_object_key_lone_2nd_surrogate", "{\"\\uDFAA\":0}"),
	SAMPLE("i_string_1st_surrogate_but_2nd_missing", "[\"\\uDADA\"]"),
	SAMPLE("i_string_1st_valid_surrogate_2nd_invalid", "[\"\\uD888\\u1234\"]"),
	SAMPLE("i_string_UTF-16LE_with_BOM", "\xff\xfe[\x00\"\x00\xe9\x00\"\x00]\x00"),
	SAMPLE("i_string_UTF-8_invalid_sequence", "[\"\xe6\x97\xa5\xd1\x88\xfa\"]"),
	SAMPLE("i_string_UTF8_surrogate_U+D800", "[\"\xed\xa0\x80\"]"),
	SAMPLE("i_string_incomplete_surrogate_and_escape_valid", "[\"\\uD800\\n\"]"),
	SAMPLE("i_string_incomplete_surrogate_pair", "[\"\\uDd1ea\"]"),
	SAMPLE("i_string_incomplete_surrogates_escape_valid", "[\"\\uD800\\uD800\\n\"]"),
	SAMPLE("i_string_invalid_lonely_surrogate", "[\"\\ud800\"]"),
	SAMPLE("i_string_invalid_surrogate", "[\"\\ud800abc\"]"),
	SAMPLE("i_string_invalid_utf-8", "[\"\xff\"]"),
	SAMPLE("i_string_inverted_surrogates_U+1D11E", "[\"\\uDd1e\\uD834\"]"),
	SAMPLE("i_string_iso_latin_1", "[\"\xe9\"]"),
	SAMPLE("i_string_lone_second_surrogate", "[\"\\uDFAA\"]"),
	SAMPLE("i_string_lone_utf8_continuation_byte", "[\"\x81\"]"),
	SAMPLE("i_string_not_in_unicode_range", "[\"\xf4\xbf\xbf\xbf\"]"),
	SAMPLE("i_string_overlong_sequence_2_bytes", "[\"\xc0\xaf\"]"),
	SAMPLE("i_string_overlong_sequence_6_bytes", "[\"\xfc\x83\xbf\xbf\xbf\xbf\"]"),
	SAMPLE("i_string_overlong_sequence_6_bytes_null", "[\"\xfc\x80\x80\x80\x80\x80\"]"),
	SAMPLE("i_string_truncated-utf-8", "[\"\xe0\xff\"]"),
	SAMPLE("i_string_utf16BE_no_BOM", "\x00[\x00\"\x00\xe9\x00\"\x00]"),
	SAMPLE("i_string_utf16LE_no_BOM", "[\x00\"\x00\xe9\x00\"\x00]\x00"),
	SAMPLE("i_structure_UTF-8_BOM_empty_object", "\xef\xbb\xbf{}"),
	SAMPLE("y_string_null_escape", "[\"\\u0000\"]"),
	SAMPLE("y_object_escaped_null_in_key", "{\"foo\\u0000bar\": 42}"),
	SAMPLE("y_object_duplicated_key", "{\"a\":\"b\",\"a\":\"c\"}"),
	SAMPLE("y_object_duplicated_key_and_value", "{\"a\":\"b\",\"a\":\"b\"}"),
};
/* clang-format on */

static void accepted_documents(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++) {
		struct document document;
		document_parse(&document, accepted[i].text, accepted[i].length);
		if (document.status != STATUS_OK) {
			fail_msg("%s: %s", accepted[i].name, document.err.message);
		}
		assert_int_equal(document.doc.nodes[0].next, document.doc.count);
		document_close(&document);
	}
}

static void refused_documents(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct document document;
		document_parse(&document, refused[i].text, refused[i].length);
		if (document.status != STATUS_MALFORMED) {
			fail_msg("%s: %s", refused[i].name, status_slug(document.status));
		}
		if (strstr(document.err.message, "at line ") == NULL) {
			fail_msg("%s: %s", refused[i].name, document.err.message);
		}
		assert_null(document.doc.text);
		document_close(&document);
	}
}

/* A document that is cut off anywhere is refused, and nothing behind the cut is read. */
static void cut_documents_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++) {
		struct document document;
		bool is_container = strchr("[{\"", accepted[i].text[0]) != NULL;
		size_t length = accepted[i].length;
		while (length > 0 && strchr(" \t\r\n", accepted[i].text[length - 1]) != NULL) {
			length--;
		}
		while (is_container && length-- > 0) {
			document_parse(&document, accepted[i].text, length);
			assert_int_equal(document.status, STATUS_MALFORMED);
			document_close(&document);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepted_documents),
		cmocka_unit_test(refused_documents),
		cmocka_unit_test(cut_documents_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
