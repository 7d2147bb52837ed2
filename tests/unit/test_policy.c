/* SPDX-License-Identifier: Apache-2.0 */
/* A policy of snapshots: what it may say, when it is due, what it is called. */
#include "tests/unit/seeded.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "control/config_json.h"
#include "control/config_table.h"
#include "control/limits.h"
#include "snapshot/naming.h"
#include "snapshot/policy.h"
#include "snapshot/take.h"

static struct err e;

static uint64_t at(const char *text)
{
	char whole[CLOCK_TEXT_BYTES];
	uint64_t ns = 0;

	snprintf(whole, sizeof(whole), "%s:00Z", text);
	ck_assert_msg(!*text || clock_rfc3339_parse(whole, &ns), "%s", text);
	return ns;
}

/* By the option, as people say it. */
static int set(struct vm_config *c, const char *text)
{
	const struct config_row *row = config_find_option("snapshots");

	e = (struct err)ERR_NONE;
	ck_assert_ptr_nonnull(row);
	return config_set(c, row, text, &e);
}

static void read_policy(struct policy *p, const char *text)
{
	struct vm_config c;

	config_init(&c);
	ck_assert_msg(!set(&c, text), "%s", e.text);
	ck_assert_int_eq(policy_read(p, &c.snapshots, &e), 0);
	vm_config_fini(&c);
}

/* --- the configuration ------------------------------------------------ */

START_TEST(a_policy_is_an_option_with_many_keys)
{
	struct policy p;

	read_policy(&p, "every=0,,30 3 * * mon,kind=disk,only_if_changed,"
			"verify=on,keep_last=4,keep_yearly=2,keep_within=7d,"
			"max_bytes=2G,quota=20G,quota_warn=16G,expires=1m,"
			"max_pause=50ms");
	ck_assert(p.has_schedule && p.every.minutes == (1 | 1ULL << 30));
	ck_assert_int_eq(p.kind, SNAPSHOT_DISK);
	ck_assert(p.only_if_changed && p.verify && !p.quiesce);
	ck_assert_uint_eq(p.prune.policy.keep[PRUNE_LAST], 4);
	ck_assert_uint_eq(p.prune.policy.keep[PRUNE_YEARLY], 2);
	ck_assert(p.has_rules && p.prune.policy.has_within);
	ck_assert_uint_eq(p.prune.policy.max_bytes, 2ULL << 30);
	ck_assert_str_eq(p.prune.purpose, "scheduled");
	ck_assert_uint_eq(p.quota, 20ULL << 30);
	ck_assert(p.has_expiry && p.expires.months == 1);
	ck_assert_uint_eq(p.max_pause_ns, 50 * NS_PER_MS);
	read_policy(&p, "prune_all,keep_last=4");
	ck_assert(!p.has_schedule && p.has_rules);
	ck_assert_str_eq(p.prune.purpose, "");
	read_policy(&p, "quota=1");
	ck_assert(!p.has_rules && p.prune.policy.only_expired);
}
END_TEST

START_TEST(what_makes_no_sense_is_refused_with_key_and_value)
{
	static const struct {
		const char *text, *error;
	} bad[] = {
		{ "every=0 25 * * *", "--snapshots: every: '0 25 * * *': hour: "
				      "'25' (character 3) is not in 0..23" },
		{ "evry=@daily", "--snapshots: unknown key 'evry'; did you "
				 "mean 'every'?" },
		{ "@daily", "--snapshots: unknown key '@daily'" },
		{ "kind=tape", "--snapshots: kind: 'tape' is not one of full, "
			       "disk, memory" },
		{ "keep_last=many", "--snapshots: keep_last: 'many' is no "
				    "number" },
		{ "keep_last=1000001", "--snapshots: keep_last: 1000001 is not "
				       "in 0..1000000" },
		{ "keep_last=3", "--snapshots: rules are about what a schedule "
				 "takes: give every, or prune_all=on" },
		{ "prune_all,keep_within=2w",
		  "--snapshots: keep_within: '2w' is not of the form 1y5m7d2h, "
		  "numbers up to 9999" },
		{ "expires=0d", "--snapshots: expires: '0d' is no time at "
				"all" },
		{ "max_pause=50", "--snapshots: max_pause: '50' is no time "
				  "such as 500us, 50ms or 1s" },
		{ "quota=1K,quota_warn=2K", "--snapshots: quota_warn: 2048 is "
					    "more than quota 1024" },
		{ "kind=disk,incremental", "--snapshots: incremental is about "
					   "memory, which kind=disk has not" },
		{ "name={when}", "--snapshots: name: '{when}': what is in {} "
				 "is vm, purpose, kind or utc (character 1)" },
		{ "pattern=a(b", "--snapshots: pattern: 'a(b': Unmatched ( or "
				 "\\(" },
	};
	struct vm_config c;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		config_init(&c);
		ck_assert_int_eq(set(&c, bad[i].text), -EINVAL);
		ck_assert_str_eq(e.text, bad[i].error);
		ck_assert_uint_eq(c.has_snapshots, 0);
		vm_config_fini(&c);
	}
}
END_TEST

START_TEST(an_option_takes_the_place_of_the_one_before)
{
	struct vm_config c;

	config_init(&c);
	ck_assert_int_eq(set(&c, "every=@daily,keep_last=3"), 0);
	ck_assert_int_eq(set(&c, "quota=5"), 0);
	ck_assert_str_eq(c.snapshots.every, "");
	ck_assert_uint_eq(c.snapshots.quota, 5);
	ck_assert_int_lt(set(&c, "quota=x"), 0);
	ck_assert_uint_eq(c.snapshots.quota, 5);
	vm_config_fini(&c);
}
END_TEST

START_TEST(a_policy_is_an_object_that_is_printed_back)
{
	static const char *const text =
		"{\n  \"snapshots\": {\n    \"every\": \"5,35 * * * *\",\n"
		"    \"kind\": \"disk\",\n    \"only_if_changed\": true,\n"
		"    \"keep_daily\": 7,\n    \"quota\": 21474836480,\n"
		"    \"name\": \"{vm}-{utc}\"\n  }";
	struct vm_config c, again;
	struct buf out, second;

	config_init(&c);
	config_init(&again);
	buf_init(&out, LIMIT_JSON_CONFIG_BYTES);
	buf_init(&second, LIMIT_JSON_CONFIG_BYTES);
	ck_assert_int_eq(set(&c, "every=5,,35 * * * *,kind=disk,"
				 "only_if_changed,keep_daily=7,quota=20G,"
				 "name={vm}-{utc}"),
			 0);
	ck_assert_int_eq(config_to_json(&c, &out), 0);
	ck_assert_ptr_nonnull(strstr(buf_text(&out), text + 2));
	ck_assert_int_eq(config_from_json(&again, buf_text(&out), out.len,
					  "config.json", &e),
			 0);
	ck_assert_int_eq(config_to_json(&again, &second), 0);
	ck_assert_str_eq(buf_text(&out), buf_text(&second));
	ck_assert_int_lt(config_from_json(&again, "{\"snapshots\": []}", 17,
					  "config.json", &e),
			 0);
	ck_assert_str_eq(e.text, "config.json: snapshots: is an array, not an "
				 "object");
	vm_config_fini(&c);
	vm_config_fini(&again);
	buf_fini(&out);
	buf_fini(&second);
}
END_TEST

START_TEST(what_a_policy_needs_of_the_vm_is_checked)
{
	static const struct {
		const char *text, *error;
	} bad[] = {
		{ "quiesce", "snapshots: quiesce needs the guest's agent: give "
			     "--agent on" },
		{ "every=@daily,kind=disk", "snapshots: kind=disk, and there "
					    "is no disk" },
		{ "every=@daily,pattern=[0-9]+,name={vm}",
		  "snapshots: the name 'web' does not match '[0-9]+', as the "
		  "configuration of this VM wants it (snapshots: pattern)" },
	};
	struct vm_config c;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		config_init(&c);
		c.kernel[c.kernels++] = strdup("/kernel");
		snprintf(c.name, sizeof(c.name), "web");
		ck_assert_int_eq(set(&c, bad[i].text), 0);
		ck_assert_int_eq(config_check(&c, &e), -EINVAL);
		ck_assert_str_eq(e.text, bad[i].error);
		vm_config_fini(&c);
	}
}
END_TEST

/* --- when ------------------------------------------------------------- */

static const struct due_case {
	const char *name, *every, *since, *ran, *newest, *now, *due;
} cases[] = {
	{ "the schedule begins when somebody looks first", "@hourly", "", "",
	  "", "2026-01-01T10:20", "2026-01-01T11:00" },
	{ "and goes on from there", "@hourly", "2026-01-01T10:20", "", "",
	  "2026-01-01T10:59", "2026-01-01T11:00" },
	{ "a run is overdue at once, and once however many were missed",
	  "@hourly", "2026-01-01T10:20", "2026-01-01T11:00", "",
	  "2026-01-09T15:30", "2026-01-01T12:00" },
	{ "after it the next one is the next of the schedule", "@hourly",
	  "2026-01-01T10:20", "2026-01-09T15:30", "", "2026-01-09T15:31",
	  "2026-01-09T16:00" },
	{ "the newest snapshot is a run, if the file is lost", "@daily", "", "",
	  "2026-01-03T00:00", "2026-01-03T12:00", "2026-01-04T00:00" },
	{ "and an older one is not", "@daily", "2026-01-01T00:00",
	  "2026-01-04T00:00", "2026-01-03T00:00", "2026-01-04T12:00",
	  "2026-01-05T00:00" },
	{ "a run that a wrong clock put ahead is not waited for", "@hourly",
	  "2030-01-01T00:00", "2030-01-01T00:00", "", "2026-01-01T10:20",
	  "2026-01-01T11:00" },
	{ "nor a snapshot", "@hourly", "2026-01-01T10:20", "",
	  "2030-01-01T00:00", "2026-01-01T10:30", "2026-01-01T11:00" },
	{ "without a schedule it never is", NULL, "2026-01-01T10:20", "", "",
	  "2026-01-01T10:30", NULL },
};

#define CASES (int)(sizeof(cases) / sizeof(cases[0]))

START_TEST(a_run_is_due_when_the_schedule_says)
{
	const struct due_case *c = &cases[_i];
	struct policy_state s = { .since_ns = at(c->since),
				  .ran_ns = at(c->ran) };
	char text[160], got[CLOCK_TEXT_BYTES] = "never";
	struct policy p;
	uint64_t due;

	snprintf(text, sizeof(text), c->every ? "every=%s" : "quota=1",
		 c->every);
	read_policy(&p, text);
	policy_settle(&s, at(c->newest), at(c->now));
	ck_assert(!policy_settle(&s, at(c->newest), at(c->now)));
	due = policy_due(&p, &s);
	if (due != POLICY_NEVER)
		clock_rfc3339(due, got);
	ck_assert_msg(due == (c->due ? at(c->due) : POLICY_NEVER), "%s: %s",
		      c->name, got);
}
END_TEST

START_TEST(what_failed_is_tried_again_later_and_later)
{
	static const unsigned int minutes[] = { 1, 2, 4, 8, 16, 32, 60, 60 };
	uint64_t now = at("2026-01-01T11:00");
	struct policy_state s = { .since_ns = at("2026-01-01T10:20") };
	struct policy p;
	size_t i;

	read_policy(&p, "every=@hourly");
	ck_assert_uint_eq(policy_due(&p, &s), now);
	for (i = 0; i < sizeof(minutes) / sizeof(minutes[0]); i++) {
		policy_failed(&s, now, "no room");
		ck_assert_uint_eq(policy_due(&p, &s),
				  now + minutes[i] * 60 * NS_PER_S);
		now = policy_due(&p, &s);
	}
	ck_assert_str_eq(s.text, "no room");
	s.failures = UINT32_MAX;
	policy_failed(&s, now, "no room");
	ck_assert_uint_eq(policy_due(&p, &s), now + 3600 * NS_PER_S);
	policy_ran(&s, now, "fine");
	ck_assert_uint_eq(s.failures, 0);
	ck_assert_uint_gt(policy_due(&p, &s), now);
	ck_assert_uint_le(policy_due(&p, &s), now + 3600 * NS_PER_S);
}
END_TEST

/* --- the file --------------------------------------------------------- */

static char dir_path[] = "/tmp/amber-policy-XXXXXX";

static void put(int dir, const char *text)
{
	ck_assert_int_eq(file_commit(dir, POLICY_FILE, text, strlen(text),
				     FILE_ATOMIC, &e),
			 0);
}

START_TEST(the_file_is_read_back_and_a_bad_one_is_none)
{
	static const char *const bad[] = { "",
					   "[]",
					   "{\"since\": 5}",
					   "{\"ran\": \"yesterday\"}",
					   "{\"failures\": -1}",
					   "{\"failures\": 4294967296}" };
	struct policy_state s = { .since_ns = at("2026-01-01T10:20"),
				  .failed_ns = at("2026-01-02T10:20"),
				  .failures = 3,
				  .text = "no \"room\"" },
			    got;
	size_t i;
	int dir;

	ck_assert_ptr_nonnull(mkdtemp(dir_path));
	dir = open(dir_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_eq(policy_load(&got, dir, &e), 0);
	ck_assert_uint_eq(got.since_ns, 0);
	ck_assert_int_eq(policy_save(&s, dir, &e), 0);
	ck_assert_int_eq(policy_load(&got, dir, &e), 0);
	ck_assert(got.since_ns == s.since_ns && !got.ran_ns &&
		  got.failed_ns == s.failed_ns && got.failures == 3);
	ck_assert_str_eq(got.text, s.text);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		put(dir, bad[i]);
		ck_assert_int_eq(policy_load(&got, dir, &e), -EBADMSG);
		ck_assert_uint_eq(got.since_ns, 0);
		ck_assert_ptr_nonnull(strstr(e.text, POLICY_FILE));
	}
	put(dir, "{\"later\": true, \"text\": \"\\u001b[2J\"}");
	ck_assert_int_eq(policy_load(&got, dir, &e), 0);
	ck_assert_str_eq(got.text, "");
	unlinkat(dir, POLICY_FILE, 0);
	close(dir);
	rmdir(dir_path);
}
END_TEST

/* --- names ------------------------------------------------------------ */

static void expect_name(const char *template, const char *want)
{
	struct snapshot_meta m = { .kind = SNAPSHOT_DISK,
				   .vm = "a-name-that-is-much-too-long",
				   .purpose = "before upgrade",
				   .created_ns = at("2026-11-26T08:55") };
	char name[SNAPSHOT_NAME_MAX + 1];

	ck_assert_int_eq(naming_check(template, &e), 0);
	naming_make(template, &m, name);
	ck_assert_str_eq(name, want);
}

START_TEST(names_are_made_of_a_template)
{
	expect_name(NAMING_DEFAULT,
		    "a-name-that-is-much--before-upgrade-20261126T085500Z");
	expect_name("{kind}_{utc}.x", "disk_20261126T085500Z.x");
	expect_name("plain", "plain");
}
END_TEST

START_TEST(a_template_that_could_become_no_name_is_refused)
{
	static const char *const bad[] = {
		"",
		"{}",
		"{vm",
		"{VM}",
		"vm}",
		"-{vm}",
		"a b",
		"a/{utc}",
		"{vm}{vm}{vm}",
		"{vm}{purpose}{utc}{kind}",
	};
	char text[NAMING_LENGTH_MAX + 2];
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(naming_check(bad[i], &e) == -EINVAL, "%s",
			      bad[i]);
	memset(text, 'x', sizeof(text));
	text[NAMING_LENGTH_MAX] = '\0';
	ck_assert_int_eq(naming_check(text, &e), 0);
	text[NAMING_LENGTH_MAX] = 'x';
	text[NAMING_LENGTH_MAX + 1] = '\0';
	ck_assert_int_eq(naming_check(text, &e), -EINVAL);
}
END_TEST

START_TEST(a_pattern_is_about_the_whole_name)
{
	ck_assert_int_eq(naming_match("a|ab", "ab", &e), 0);
	ck_assert_int_eq(naming_match("[a-z]+", "abc", &e), 0);
	ck_assert_int_lt(naming_match("[a-z]+", "abc1", &e), 0);
	ck_assert_int_lt(naming_match("b", "abc", &e), 0);
	ck_assert_ptr_nonnull(strstr(e.text, "'abc' does not match 'b'"));
}
END_TEST

START_TEST(what_is_taken_is_what_the_policy_says)
{
	uint64_t now = at("2026-01-31T10:00");
	struct snapshot_order o = { .labels = 0 };
	struct policy p;

	read_policy(&p, "every=@daily,expires=1m,incremental,max_pause=1ms");
	policy_order(&p, now, &o);
	ck_assert_int_eq(o.kind, SNAPSHOT_FULL);
	ck_assert_int_eq(o.consistency, SNAPSHOT_LIVE);
	ck_assert(o.incremental && !o.is_pinned && !*o.name);
	ck_assert_str_eq(o.purpose, "scheduled");
	ck_assert_uint_eq(o.expires_ns, at("2026-03-03T10:00"));
	ck_assert_uint_eq(o.max_pause_ns, NS_PER_MS);
}
END_TEST

int main(void)
{
	const TTest *const others[] = {
		a_policy_is_an_option_with_many_keys,
		what_makes_no_sense_is_refused_with_key_and_value,
		an_option_takes_the_place_of_the_one_before,
		a_policy_is_an_object_that_is_printed_back,
		what_a_policy_needs_of_the_vm_is_checked,
		what_failed_is_tried_again_later_and_later,
		the_file_is_read_back_and_a_bad_one_is_none,
		names_are_made_of_a_template,
		a_template_that_could_become_no_name_is_refused,
		a_pattern_is_about_the_whole_name,
		what_is_taken_is_what_the_policy_says,
	};

	return seeded_run("policy", SUITE_TIMEOUT_S,
			  a_run_is_due_when_the_schedule_says, CASES, others,
			  sizeof(others) / sizeof(others[0]));
}
