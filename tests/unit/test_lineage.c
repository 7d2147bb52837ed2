/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is decided about layers: by hand for the cases that people draw, and
 * over random forests against the rules themselves.
 */
#include "snapshot/lineage.h"

#include <stdint.h>
#include <string.h>

#include "tests/unit/suite.h"

#define MOST 24

static struct lineage_node node[MOST];
static size_t count;

/* A file that may be written by its owner: the facts in one letter each. */
static int file(int below, const char *facts)
{
	node[count] = (struct lineage_node){
		.below = below,
		.is_root = strchr(facts, 'r') != NULL,
		.is_unused = strchr(facts, 'u') != NULL,
		.may_grow = strchr(facts, 'w') != NULL,
	};
	return (int)count++;
}

static enum lineage_fate fate(int i)
{
	return node[i].fate;
}

START_TEST(layer_that_nothing_stands_on_goes)
{
	int base = file(-1, ""), one = file(base, "u"), two = file(one, "u");
	int top = file(base, "rw");

	lineage_decide(node, count);
	ck_assert_int_eq(fate(base), LINEAGE_KEEP);
	ck_assert_int_eq(fate(one), LINEAGE_REMOVE);
	ck_assert_int_eq(fate(two), LINEAGE_REMOVE);
	ck_assert_int_eq(fate(top), LINEAGE_KEEP);
	ck_assert_int_eq(lineage_next_merge(node, count), -1);
}
END_TEST

START_TEST(unused_layer_below_the_top_is_merged_into_it)
{
	int one = file(-1, "u"), top = file(one, "rw");

	lineage_decide(node, count);
	ck_assert_int_eq(fate(one), LINEAGE_MERGE);
	ck_assert_int_eq(node[one].child, top);
	ck_assert_int_eq(lineage_next_merge(node, count), one);
}
END_TEST

START_TEST(nearest_one_to_what_stays_is_merged_first)
{
	int one = file(-1, "uw"), two = file(one, "uw"),
	    three = file(two, "uw");

	file(three, "rw");
	lineage_decide(node, count);
	ck_assert_int_eq(fate(one), LINEAGE_MERGE);
	ck_assert_int_eq(fate(two), LINEAGE_MERGE);
	ck_assert_int_eq(lineage_next_merge(node, count), three);
}
END_TEST

START_TEST(layer_of_two_branches_stays_until_one_is_left)
{
	int one = file(-1, "uw"), a = file(one, "rw"), b = file(one, "rw");

	lineage_decide(node, count);
	ck_assert_int_eq(fate(one), LINEAGE_KEEP);
	node[b].is_root = false;
	node[b].is_unused = true;
	lineage_decide(node, count);
	ck_assert_int_eq(fate(b), LINEAGE_REMOVE);
	ck_assert_int_eq(fate(one), LINEAGE_MERGE);
	ck_assert_int_eq(node[one].child, a);
}
END_TEST

START_TEST(nothing_is_merged_into_what_must_not_be_written)
{
	int one = file(-1, "u");

	file(one, "r");
	lineage_decide(node, count);
	ck_assert_int_eq(fate(one), LINEAGE_KEEP);
}
END_TEST

START_TEST(branching_layer_takes_in_what_is_below_it)
{
	int one = file(-1, "uw"), two = file(one, "uw");

	file(two, "rw");
	file(two, "rw");
	lineage_decide(node, count);
	ck_assert_int_eq(fate(two), LINEAGE_KEEP);
	ck_assert_int_eq(lineage_next_merge(node, count), one);
}
END_TEST

START_TEST(files_of_others_are_never_decided_about)
{
	int base = file(-1, ""), top = file(base, "rw");
	int other = file(base, ""), under = file(-1, "u");

	node[other].below = under; /* somebody's, on a layer of ours */
	lineage_decide(node, count);
	ck_assert_int_eq(fate(base), LINEAGE_KEEP);
	ck_assert_int_eq(fate(top), LINEAGE_KEEP);
	ck_assert_int_eq(fate(under), LINEAGE_KEEP);
}
END_TEST

START_TEST(layer_that_is_named_again_stays)
{
	int one = file(-1, "ru");

	lineage_decide(node, count);
	ck_assert_int_eq(fate(one), LINEAGE_KEEP);
}
END_TEST

/* --- random forests -------------------------------------------------- */

static uint64_t seed = 1;

static unsigned int below(unsigned int n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned int)(seed >> 33) % n;
}

static bool is_needed(int i)
{
	size_t k;

	if (node[i].is_root || !node[i].is_unused)
		return true;
	for (k = 0; k < count; k++)
		if (node[k].below == i && is_needed((int)k))
			return true;
	return false;
}

static void make_forest(void)
{
	static const char *const facts[] = { "u",  "uw", "u",  "uw",
					     "rw", "r",	 "rw", "" };
	unsigned int n = 1 + below(MOST), i;

	count = 0;
	for (i = 0; i < n; i++)
		file(i && below(5) ? (int)below(i) : -1, facts[below(8)]);
}

static void is_right(int i)
{
	const struct lineage_node *n = &node[i];
	size_t k, children = 0;

	for (k = 0; k < count; k++)
		children += node[k].below == i && is_needed((int)k);
	ck_assert_int_eq(n->is_needed, is_needed(i));
	ck_assert_uint_eq(n->children, n->is_needed ? children : 0);
	ck_assert_int_eq(n->fate == LINEAGE_REMOVE,
			 n->is_unused && !is_needed(i));
	if (n->fate != LINEAGE_MERGE)
		return;
	ck_assert(n->is_unused && !n->is_root && children == 1);
	ck_assert(node[n->child].may_grow && node[n->child].below == i);
}

/* What it takes out one by one leaves every root what it stood on. */
static void merge_all(void)
{
	size_t turns = 0;
	int at;

	while ((at = lineage_next_merge(node, count)) >= 0) {
		ck_assert_int_ne(fate(node[at].child), LINEAGE_MERGE);
		node[node[at].child].below = node[at].below;
		node[at].below = -1;
		lineage_decide(node, count);
		ck_assert_int_eq(fate(at), LINEAGE_REMOVE);
		ck_assert_uint_le(++turns, count);
	}
}

START_TEST(rules_hold_over_random_forests)
{
	unsigned int turn;
	size_t i;

	for (turn = 0; turn < 20000; turn++) {
		make_forest();
		lineage_decide(node, count);
		for (i = 0; i < count; i++)
			is_right((int)i);
		merge_all();
		for (i = 0; i < count; i++)
			is_right((int)i);
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		layer_that_nothing_stands_on_goes,
		unused_layer_below_the_top_is_merged_into_it,
		nearest_one_to_what_stays_is_merged_first,
		layer_of_two_branches_stays_until_one_is_left,
		nothing_is_merged_into_what_must_not_be_written,
		branching_layer_takes_in_what_is_below_it,
		files_of_others_are_never_decided_about,
		layer_that_is_named_again_stays,
		rules_hold_over_random_forests,
	};

	return SUITE_RUN("lineage", tests);
}
