/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration table: options, config.json, limits on both sides. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/config_json.h"
#include "control/config_table.h"
#include "control/config_value.h"
#include "control/home.h"
#include "control/limits.h"
#include "tests/unit/suite.h"

static struct vm_config config;
static struct err e;

static void begin(void)
{
	e = (struct err)ERR_NONE;
	config_init(&config);
}

static int set(const char *option, const char *text)
{
	const struct config_row *row = config_find_option(option);

	ck_assert_ptr_nonnull(row);
	return config_set(&config, row, text, &e);
}

static int from(const char *text)
{
	return config_from_json(&config, text, strlen(text), "config.json", &e);
}

static void expect_bad(const char *text, const char *error)
{
	begin();
	ck_assert_int_lt(from(text), 0);
	ck_assert_str_eq(e.text, error);
	vm_config_fini(&config);
}

START_TEST(sizes_take_suffixes_and_refuse_overflow)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{ "0", 0 },
		{ "4096", 4096 },
		{ "128M", 128ULL << 20 },
		{ "128MiB", 128ULL << 20 },
		{ "2g", 2ULL << 30 },
		{ "15E", 15ULL << 60 },
		{ "18446744073709551615", UINT64_MAX },
	};
	static const char *const bad[] = {
		"",
		"M",
		"-1",
		"1X",
		"1MM",
		"1.5G",
		"16E",
		"1e3",
		" 1",
		"1 M",
		"0x10",
		"18446744073709551616",
		"99999999999999999999999999",
		"17179869184G",
	};
	uint64_t bytes;
	size_t i;

	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		ck_assert_int_eq(config_parse_bytes(good[i].text, &bytes, &e),
				 0);
		ck_assert_uint_eq(bytes, good[i].bytes);
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_int_lt(config_parse_bytes(bad[i], &bytes, &e), 0);
}
END_TEST

START_TEST(numbers_are_checked_on_both_sides)
{
	begin();
	ck_assert_int_eq(set("cpus", "1"), 0);
	ck_assert_int_eq(set("cpus", "254"), 0);
	ck_assert_int_lt(set("cpus", "0"), 0);
	ck_assert_str_eq(e.text, "--cpus: 0 is not in 1..254");
	ck_assert_int_lt(set("cpus", "255"), 0);
	ck_assert_int_lt(set("cpus", "1000000"), 0);
	ck_assert_int_lt(set("cpus", "99999999999999999999"), 0);
	ck_assert_int_lt(set("cpus", "two"), 0);
	ck_assert_uint_eq(config.cpus, 254);
	ck_assert_int_eq(set("memory", "16M"), 0);
	ck_assert_int_eq(set("memory", "1T"), 0);
	ck_assert_int_lt(set("memory", "16777215"), 0);
	ck_assert_int_lt(set("memory", "1025G"), 0);
	ck_assert_int_lt(set("memory", "20000001"), 0);
	ck_assert_str_eq(e.text, "--memory: 20000001 is no multiple of 4096");
	ck_assert_int_lt(set("memory", "16E"), 0);
	ck_assert_str_eq(e.text, "--memory: '16E' is too large");
	ck_assert_uint_eq(config.vsock_cid, 0);
	ck_assert_int_lt(set("vsock", "2"), 0);
	ck_assert_str_eq(e.text, "--vsock: 2 is not in 3..4294967294");
	ck_assert_int_lt(set("vsock", "4294967295"), 0);
	ck_assert_int_lt(set("vsock", "4294967296"), 0);
	ck_assert_uint_eq(config.vsock_cid, 0);
	ck_assert_int_eq(set("vsock", "3"), 0);
	ck_assert_int_eq(set("vsock", "4294967294"), 0);
	ck_assert_uint_eq(config.vsock_cid, 4294967294u);
	ck_assert_int_lt(set("shutdown-timeout", "0"), 0);
	ck_assert_int_eq(set("shutdown-timeout", "86400"), 0);
	ck_assert_int_lt(set("shutdown-timeout", "86401"), 0);
	vm_config_fini(&config);
}
END_TEST

START_TEST(names_are_directory_names)
{
	char longest[66];

	memset(longest, 'a', sizeof(longest));
	longest[63] = 0;
	begin();
	ck_assert_int_eq(set("name", "a"), 0);
	ck_assert_int_eq(set("name", "web-1.example_2"), 0);
	ck_assert_int_eq(set("name", longest), 0);
	longest[63] = 'a';
	longest[64] = 0;
	ck_assert_int_lt(set("name", longest), 0);
	ck_assert_int_lt(set("name", ""), 0);
	ck_assert_int_lt(set("name", "."), 0);
	ck_assert_int_lt(set("name", ".."), 0);
	ck_assert_int_lt(set("name", "-x"), 0);
	ck_assert_int_lt(set("name", "a/b"), 0);
	ck_assert_int_lt(set("name", "a b"), 0);
	ck_assert_int_lt(set("name", "a\nb"), 0);
	ck_assert_int_lt(set("name", "\xc3\xa4"), 0);
	vm_config_fini(&config);
}
END_TEST

START_TEST(texts_are_utf8_without_control_characters)
{
	begin();
	ck_assert_int_eq(set("append", ""), 0);
	ck_assert_int_eq(set("append", "console=ttyS0 x=\xc3\xa4"), 0);
	ck_assert_int_lt(set("append", "a\nb"), 0);
	ck_assert_int_lt(set("append", "a\xff"), 0);
	ck_assert_int_lt(set("append", "\xed\xa0\x80"), 0);
	ck_assert_str_eq(config.append, "console=ttyS0 x=\xc3\xa4");
	ck_assert_int_lt(set("ready", ""), 0);
	ck_assert_int_lt(set("uuid", "x"), 0);
	ck_assert_int_eq(set("uuid", "00000000-0000-4000-8000-00000000000f"),
			 0);
	ck_assert_int_lt(set("uuid", "00000000-0000-4000-8000-00000000000g"),
			 0);
	vm_config_fini(&config);
}
END_TEST

START_TEST(relative_paths_become_absolute)
{
	char here[PATH_MAX];

	begin();
	ck_assert_ptr_nonnull(getcwd(here, sizeof(here)));
	ck_assert_int_eq(set("kernel", "/boot/a"), 0);
	ck_assert_int_eq(set("kernel", "b"), 0);
	ck_assert_int_lt(set("kernel", ""), 0);
	ck_assert_uint_eq(config.kernels, 2);
	ck_assert_str_eq(config.kernel[0], "/boot/a");
	ck_assert_int_eq(strncmp(config.kernel[1], here, strlen(here)), 0);
	vm_config_fini(&config);
}
END_TEST

START_TEST(lists_end_at_their_limit)
{
	char text[16];
	int i;

	begin();
	for (i = 0; i < VM_KERNELS_MAX; i++)
		ck_assert_int_eq(set("kernel", "/k"), 0);
	ck_assert_int_lt(set("kernel", "/k"), 0);
	for (i = 0; i < VM_LABELS_MAX; i++) {
		snprintf(text, sizeof(text), "k%d=v", i);
		ck_assert_int_eq(set("label", text), 0);
	}
	ck_assert_int_eq(set("label", "k0=again"), 0);
	ck_assert_str_eq(config.label[0].value, "again");
	ck_assert_int_lt(set("label", "one=more"), 0);
	ck_assert_int_lt(set("label", "novalue"), 0);
	for (i = 0; i < VM_CPU_DISABLE_MAX; i++) {
		snprintf(text, sizeof(text), "f%d", i);
		ck_assert_int_eq(set("cpu-disable", text), 0);
	}
	ck_assert_int_lt(set("cpu-disable", "more"), 0);
	vm_config_fini(&config);
}
END_TEST

START_TEST(a_bad_feature_in_a_list_adds_none)
{
	begin();
	ck_assert_int_eq(set("cpu-disable", "xsave,cx16"), 0);
	ck_assert_uint_eq(config.cpu_disables, 2);
	ck_assert_int_lt(set("cpu-disable", "avx,,sse"), 0);
	ck_assert_int_lt(set("cpu-disable", "avx,aaaaaaaaaaaaaaaaaaaaaaa"), 0);
	ck_assert_uint_eq(config.cpu_disables, 2);
	vm_config_fini(&config);
}
END_TEST

START_TEST(policies_that_were_not_given_depend_on_the_use)
{
	begin();
	ck_assert_int_eq(set("on-reboot", "stop"), 0);
	ck_assert_int_lt(set("on-panic", "explode"), 0);
	config_finish(&config, CONFIG_ONCE);
	ck_assert_int_eq(config.on_reboot, VM_POLICY_STOP);
	ck_assert_int_eq(config.on_poweroff, VM_POLICY_EXIT);
	ck_assert_int_eq(config.on_crash, VM_POLICY_EXIT);
	vm_config_fini(&config);
	begin();
	config_finish(&config, CONFIG_KEPT);
	ck_assert_int_eq(config.on_reboot, VM_POLICY_RESTART);
	ck_assert_int_eq(config.on_panic, VM_POLICY_PAUSE);
	vm_config_fini(&config);
	begin();
	config_finish(&config, CONFIG_FOREGROUND);
	ck_assert_int_eq(config.on_reboot, VM_POLICY_RESTART);
	ck_assert_int_eq(config.on_panic, VM_POLICY_EXIT);
	vm_config_fini(&config);
}
END_TEST

/* One with everything in it. */
static const char full[] =
	"{\n"
	"  \"name\": \"web\",\n"
	"  \"uuid\": \"00000000-0000-4000-8000-000000000001\",\n"
	"  \"kernel\": [\n"
	"    \"/boot/a\",\n"
	"    \"/boot/b \\\"\xc3\xa4\\\\\"\n"
	"  ],\n"
	"  \"initrd\": \"/boot/i\",\n"
	"  \"append\": \"\",\n"
	"  \"cpus\": 2,\n"
	"  \"memory\": 268435456,\n"
	"  \"cpu_disable\": [\n"
	"    \"xsave\"\n"
	"  ],\n"
	"  \"on_poweroff\": \"exit\",\n"
	"  \"on_reboot\": \"restart\",\n"
	"  \"on_panic\": \"pause\",\n"
	"  \"on_crash\": \"stop\",\n"
	"  \"restart_max\": 0,\n"
	"  \"ready\": \"login:\",\n"
	"  \"ready_timeout\": 60,\n"
	"  \"shutdown_timeout\": 5,\n"
	"  \"labels\": {\n"
	"    \"tier\": \"front\"\n"
	"  },\n"
	"  \"access\": {\n"
	"    \"viewer\": {\n"
	"      \"uids\": [\n"
	"        1000\n"
	"      ],\n"
	"      \"gids\": []\n"
	"    },\n"
	"    \"admin\": {\n"
	"      \"uids\": [],\n"
	"      \"gids\": [\n"
	"        4,\n"
	"        27\n"
	"      ]\n"
	"    }\n"
	"  }\n"
	"}\n";

START_TEST(what_was_read_is_printed_back_identically)
{
	struct buf out;

	begin();
	buf_init(&out, LIMIT_JSON_CONFIG_BYTES);
	ck_assert_msg(from(full) == 0, "%s", e.text);
	ck_assert_uint_eq(config.grants, 3);
	ck_assert_int_eq(config_to_json(&config, &out), 0);
	ck_assert_str_eq(buf_text(&out), full);
	buf_fini(&out);
	vm_config_fini(&config);
}
END_TEST

START_TEST(a_vsock_is_printed_back_and_none_is_not)
{
	struct buf out;

	begin();
	buf_init(&out, LIMIT_JSON_CONFIG_BYTES);
	ck_assert_int_eq(config_to_json(&config, &out), 0);
	ck_assert_ptr_null(strstr(buf_text(&out), "vsock"));
	ck_assert_msg(from(buf_text(&out)) == 0, "%s", e.text);
	buf_reset(&out);
	ck_assert_msg(from("{\"vsock\": 42}") == 0, "%s", e.text);
	ck_assert_uint_eq(config.vsock_cid, 42);
	ck_assert_int_eq(config_to_json(&config, &out), 0);
	ck_assert_ptr_nonnull(strstr(buf_text(&out), "\"vsock\": 42"));
	buf_fini(&out);
	vm_config_fini(&config);
	expect_bad("{\"vsock\": 0}", "config.json: vsock: 0 is not in "
				     "3..4294967294");
}
END_TEST

START_TEST(memory_in_a_file_may_have_a_suffix)
{
	begin();
	ck_assert_int_eq(from("{\"memory\": \"64M\"}"), 0);
	ck_assert_uint_eq(config.memory_bytes, 64u << 20);
	vm_config_fini(&config);
}
END_TEST

START_TEST(bad_files_are_refused_with_the_key_and_the_value)
{
	expect_bad("{\"cpu\": 1}", "config.json: unknown key 'cpu'; did you "
				   "mean 'cpus'?");
	expect_bad("{\"zzzzzz\": 1}", "config.json: unknown key 'zzzzzz'");
	expect_bad("{\"cpus\": \"1\"}",
		   "config.json: cpus: is a string, not a whole number");
	expect_bad("{\"cpus\": 1.5}",
		   "config.json: cpus: is a number, not a whole number");
	expect_bad("{\"cpus\": -1}", "config.json: cpus: is negative");
	expect_bad("{\"cpus\": 255}", "config.json: cpus: 255 is not in "
				      "1..254");
	expect_bad("{\"memory\": \"16E\"}",
		   "config.json: memory: '16E' is too large");
	expect_bad("{\"kernel\": \"/k\"}",
		   "config.json: kernel: is a string, not an array of strings");
	expect_bad("{\"kernel\": [\"k\"]}",
		   "config.json: kernel: the path is not absolute");
	expect_bad("{\"name\": \"a/b\"}",
		   "config.json: name: 'a/b': character 2 is not a letter "
		   "or a digit or one of _ . -");
	expect_bad("{\"labels\": {\"a\": 1}}",
		   "config.json: labels: 'a' is a number, not a string");
	expect_bad("{\"access\": {\"root\": {}}}",
		   "config.json: access: unknown role 'root' (viewer, "
		   "operator, admin)");
	expect_bad("{\"access\": {\"admin\": {\"users\": []}}}",
		   "config.json: access: unknown key 'users' (uids, gids)");
	expect_bad("{\"access\": {\"admin\": {\"uids\": [4294967295]}}}",
		   "config.json: access: an id is a number in 0..4294967294");
	expect_bad("[]", "config.json: it is no JSON object");
}
END_TEST

START_TEST(bad_json_is_refused_with_its_place)
{
	static const char *const bad[] = {
		"",
		"{",
		"{\"cpus\": NaN}",
		"{\"cpus\": 1e999}",
		"{\"cpus\": 1, \"cpus\": 2}",
		"{\"append\": \"\\ud800\"}",
		"{\"append\": \"\\u0000\"}",
		"{\"append\": \"\xff\"}",
		"{\"cpus\": 1} x",
	};
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		begin();
		ck_assert_int_eq(from(bad[i]), -EINVAL);
		ck_assert_int_eq(strncmp(e.text, "config.json: line ", 18), 0);
		vm_config_fini(&config);
	}
	begin();
	ck_assert_int_eq(config_from_json(&config, "{\"a\0\": 1}", 9, "x", &e),
			 -EINVAL);
	ck_assert_str_eq(e.text, "x: NUL byte at byte 3");
	vm_config_fini(&config);
}
END_TEST

/* The text {"a":[[...]]} with so many levels. */
static char *nested(unsigned int depth)
{
	char *text = calloc(1, 2 * depth + 16);
	size_t at;

	at = (size_t)snprintf(text, 16, "{\"a\":");
	memset(text + at, '[', depth - 1);
	memset(text + at + depth - 1, ']', depth - 1);
	text[at + 2 * (depth - 1)] = '}';
	return text;
}

START_TEST(depth_and_number_of_values_are_bounded)
{
	char *text = nested(LIMIT_JSON_DEPTH);
	size_t i, at;

	begin();
	ck_assert_int_eq(from(text), -EINVAL); /* deep enough to be parsed */
	ck_assert_str_eq(e.text, "config.json: unknown key 'a'");
	free(text);
	text = nested(LIMIT_JSON_DEPTH + 1);
	ck_assert_int_eq(from(text), -EFBIG);
	free(text);
	text = nested(100000);
	ck_assert_int_eq(from(text), -EFBIG);
	free(text);
	text = calloc(1, 2 * LIMIT_JSON_CONFIG_VALUES + 64);
	at = (size_t)snprintf(text, 16, "{\"a\":[");
	for (i = 0; i < LIMIT_JSON_CONFIG_VALUES; i++, at += 2)
		memcpy(text + at, "1,", 2);
	ck_assert_int_eq(from(text), -EFBIG);
	free(text);
	vm_config_fini(&config);
}
END_TEST

START_TEST(a_configuration_needs_a_kernel_and_memory_that_is_there)
{
	begin();
	ck_assert_int_eq(config_check(&config, &e), -EINVAL);
	ck_assert_str_eq(e.text, "no kernel: give --kernel FILE");
	ck_assert_int_eq(set("kernel", "/k"), 0);
	ck_assert_int_eq(config_check(&config, &e), 0);
	ck_assert_int_eq(set("memory", "1T"), 0);
	ck_assert_int_eq(config_check(&config, &e), -EINVAL);
	vm_config_fini(&config);
}
END_TEST

START_TEST(every_row_has_what_generators_need)
{
	const struct config_row *rows;
	size_t count, i;

	rows = config_rows(&count);
	for (i = 0; i < count; i++) {
		ck_assert_ptr_nonnull(rows[i].help);
		ck_assert_ptr_nonnull(rows[i].unset);
		ck_assert_ptr_eq(config_find_key(rows[i].key), &rows[i]);
		if (!rows[i].option)
			continue;
		ck_assert_ptr_nonnull(rows[i].argument);
		ck_assert_ptr_eq(config_find_option(rows[i].option), &rows[i]);
	}
}
END_TEST

START_TEST(a_key_of_an_option_is_given_once)
{
	static const struct {
		const char *key, *text, *says;
	} bad[] = {
		{ "disk", "/d,path=/e", "path: is there twice" },
		{ "disk", "/d,ro,ro", "ro: is there twice" },
		{ "disk", "/d,serial=a,serial=b", "serial: is there twice" },
		{ "net", "user,kind=isolated", "kind: is there twice" },
		{ "snapshots", "every=@daily,every=@hourly",
		  "every: is there twice" },
	};
	size_t i;

	begin();
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_int_eq(set(bad[i].key, bad[i].text), -EINVAL);
		ck_assert_msg(strstr(e.text, bad[i].says), "%s", e.text);
	}
	ck_assert_uint_eq(config.disks + config.nets, 0);
	vm_config_fini(&config);
}
END_TEST

START_TEST(a_disk_and_a_card_have_ids_of_their_own)
{
	begin();
	ck_assert_int_eq(set("kernel", "/k"), 0);
	ck_assert_int_eq(set("disk", "/d,id=a"), 0);
	ck_assert_int_eq(set("net", "user"), 0);
	ck_assert_int_eq(config_check(&config, &e), 0);
	ck_assert_int_eq(set("disk", "/e,id=net0"), 0);
	ck_assert_int_eq(config_check(&config, &e), -EINVAL);
	ck_assert_str_eq(e.text, "a disk and a network card both have the id "
				 "'net0'");
	vm_config_fini(&config);
}
END_TEST

START_TEST(a_port_takes_no_socket_of_the_vms_own)
{
	begin();
	ck_assert_int_lt(set("port", "api"), 0);
	ck_assert_str_eq(e.text, "--port: 'api' is the name of a socket of the "
				 "VM's own: take another");
	ck_assert_int_lt(set("port", "vsock"), 0);
	ck_assert_int_eq(set("port", "api2"), 0);
	vm_config_fini(&config);
	expect_bad("{\"ports\": [{\"name\": \"api\"}]}",
		   "config.json: ports[0]: 'api' is the name of a socket of "
		   "the VM's own: take another");
}
END_TEST

START_TEST(made_up_uuids_are_valid_and_differ)
{
	char a[VM_UUID_BYTES], b[VM_UUID_BYTES];

	begin();
	ck_assert_int_eq(config_make_uuid(a, &e), 0);
	ck_assert_int_eq(config_make_uuid(b, &e), 0);
	ck_assert_str_ne(a, b);
	ck_assert_int_eq(set("uuid", a), 0);
	ck_assert_int_eq(a[14], '4');
	vm_config_fini(&config);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		sizes_take_suffixes_and_refuse_overflow,
		numbers_are_checked_on_both_sides,
		names_are_directory_names,
		texts_are_utf8_without_control_characters,
		relative_paths_become_absolute,
		lists_end_at_their_limit,
		a_bad_feature_in_a_list_adds_none,
		policies_that_were_not_given_depend_on_the_use,
		what_was_read_is_printed_back_identically,
		a_vsock_is_printed_back_and_none_is_not,
		memory_in_a_file_may_have_a_suffix,
		bad_files_are_refused_with_the_key_and_the_value,
		bad_json_is_refused_with_its_place,
		depth_and_number_of_values_are_bounded,
		a_configuration_needs_a_kernel_and_memory_that_is_there,
		every_row_has_what_generators_need,
		a_key_of_an_option_is_given_once,
		a_disk_and_a_card_have_ids_of_their_own,
		a_port_takes_no_socket_of_the_vms_own,
		made_up_uuids_are_valid_and_differ,
	};

	return SUITE_RUN("config", tests);
}
