/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's CPUID, made from a small supported table. No KVM. */
#include "tests/unit/suite.h"

#include <stdlib.h>
#include <string.h>

#include "vmm/cpuid.h"

static struct kvm_cpuid2 *table;

static void add(uint32_t leaf, uint32_t subleaf, uint32_t value)
{
	table->entries[table->nent++] = (struct kvm_cpuid_entry2){
		.function = leaf,
		.index = subleaf,
		.eax = value,
		.ebx = value,
		.ecx = value,
		.edx = value,
	};
}

/* Every register of every leaf has all bits set, the topology's none. */
static void fresh(void)
{
	free(table);
	table = calloc(1, sizeof(*table) +
				  CPUID_ENTRIES_MAX * sizeof(*table->entries));
	ck_assert_ptr_nonnull(table);
	add(1, 0, UINT32_MAX);
	add(7, 0, UINT32_MAX);
	add(0xb, 0, 0);
	add(0xb, 1, 0);
	add(0xb, 2, 0);
	add(0xd, 0, UINT32_MAX);
	add(0xd, 1, UINT32_MAX);
	add(0x40000000, 0, 0x40000001);
	add(0x40000001, 0, UINT32_MAX);
	add(0x80000001, 0, UINT32_MAX);
	add(0x80000007, 0, UINT32_MAX);
	add(0x80000008, 0, 0);
}

static const struct kvm_cpuid_entry2 *leaf(uint32_t function, uint32_t index)
{
	uint32_t i;

	for (i = 0; i < table->nent; i++)
		if (table->entries[i].function == function &&
		    table->entries[i].index == index)
			return &table->entries[i];
	ck_abort_msg("no leaf %#x.%u", function, index);
	return NULL;
}

static void apply(const struct cpuid_config *config)
{
	struct err e = ERR_NONE;

	fresh();
	ck_assert_msg(cpuid_apply(table, config, &e) == 0, "%s", e.text);
}

START_TEST(every_named_feature_can_be_hidden_and_nothing_else_is)
{
	const char *name;
	unsigned int i;

	for (i = 0; (name = cpuid_feature_name(i)) != NULL; i++) {
		char names[1][16] = { "" };
		struct cpuid_config config = {
			.cpus = 1,
			.disable = (const char(*)[16])names,
			.disables = 1,
		};
		struct kvm_cpuid2 *all;
		unsigned int cleared = 0;
		uint32_t k;

		apply(&(struct cpuid_config){ .cpus = 1 });
		all = table;
		table = NULL;
		memcpy(names[0], name, strlen(name) + 1);
		apply(&config);
		ck_assert(cpuid_feature_known(name));
		for (k = 0; k < table->nent; k++) {
			const struct kvm_cpuid_entry2 *a = &all->entries[k];
			const struct kvm_cpuid_entry2 *b = &table->entries[k];

			if (a->function == 0xd && !strcmp(name, "xsave"))
				continue; /* emptied with it */
			cleared += (unsigned int)(__builtin_popcount(a->eax ^
								     b->eax) +
						  __builtin_popcount(a->ebx ^
								     b->ebx) +
						  __builtin_popcount(a->ecx ^
								     b->ecx) +
						  __builtin_popcount(a->edx ^
								     b->edx));
		}
		ck_assert_msg(cleared == 1, "%s: %u bits", name, cleared);
		free(all);
	}
	ck_assert_uint_gt(i, 20);
}
END_TEST

START_TEST(without_xsave_its_leaf_is_empty)
{
	static const char names[1][16] = { "xsave" };

	apply(&(struct cpuid_config){
		.cpus = 1,
		.disable = names,
		.disables = 1,
	});
	ck_assert_uint_eq(leaf(1, 0)->ecx & 1u << 26, 0);
	ck_assert_uint_eq(leaf(0xd, 0)->eax, 0);
	ck_assert_uint_eq(leaf(0xd, 1)->eax, 0);
	ck_assert_uint_ne(leaf(7, 0)->ebx, 0);
}
END_TEST

START_TEST(an_unknown_feature_is_refused_by_name)
{
	static const char names[1][16] = { "warp" };
	struct err e = ERR_NONE;
	struct cpuid_config config = {
		.cpus = 1,
		.disable = names,
		.disables = 1,
	};

	fresh();
	ck_assert_int_eq(cpuid_apply(table, &config, &e), -EINVAL);
	ck_assert_ptr_nonnull(strstr(e.text, "warp"));
	ck_assert(!cpuid_feature_known("warp"));
}
END_TEST

START_TEST(a_guest_can_tell_that_it_is_one)
{
	apply(&(struct cpuid_config){ .cpus = 1, .tsc_khz = 2500000 });
	ck_assert_uint_ne(leaf(1, 0)->ecx & 1u << 31, 0);
	ck_assert_uint_eq(leaf(0x40000000, 0)->eax, 0x40000010);
	ck_assert_uint_eq(leaf(0x40000010, 0)->eax, 2500000);
	apply(&(struct cpuid_config){ .cpus = 1 });
	ck_assert_uint_eq(leaf(0x40000000, 0)->eax, 0x40000001);
}
END_TEST

START_TEST(topology_is_one_socket_of_single_threaded_cores)
{
	static const struct {
		uint32_t cpus, bits;
	} shapes[] = { { 1, 0 }, { 2, 1 }, { 3, 2 }, { 4, 2 }, { 254, 8 } };
	size_t i;

	for (i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		uint32_t cpus = shapes[i].cpus, bits = shapes[i].bits;

		apply(&(struct cpuid_config){ .cpus = cpus });
		ck_assert_uint_eq(leaf(0xb, 0)->ebx, 1);
		ck_assert_uint_eq(leaf(0xb, 0)->ecx, 0x100);
		ck_assert_uint_eq(leaf(0xb, 1)->eax, bits);
		ck_assert_uint_eq(leaf(0xb, 1)->ebx, cpus);
		ck_assert_uint_eq(leaf(0xb, 1)->ecx, 0x201);
		ck_assert_uint_eq(leaf(0xb, 2)->ebx, 0);
		ck_assert_uint_eq(leaf(0x80000008, 0)->ecx,
				  bits << 12 | (cpus - 1));
		ck_assert_uint_eq(!!(leaf(1, 0)->edx & 1u << 28), cpus > 1);
	}
}
END_TEST

START_TEST(each_vcpu_has_its_own_apic_id)
{
	apply(&(struct cpuid_config){ .cpus = 4 });
	cpuid_set_apic_id(table, 3);
	ck_assert_uint_eq(leaf(1, 0)->ebx >> 24, 3);
	ck_assert_uint_eq(leaf(0xb, 0)->edx, 3);
	ck_assert_uint_eq(leaf(0xb, 1)->edx, 3);
	cpuid_set_apic_id(table, 0);
	ck_assert_uint_eq(leaf(1, 0)->ebx >> 24, 0);
	ck_assert_uint_eq(leaf(0xb, 1)->edx, 0);
}
END_TEST

START_TEST(a_full_table_is_not_overrun)
{
	uint32_t i;

	fresh();
	for (i = table->nent; i < CPUID_ENTRIES_MAX; i++)
		add(0x20000000 + i, 0, 0);
	ck_assert_int_eq(
		cpuid_apply(table,
			    &(struct cpuid_config){ .cpus = 1, .tsc_khz = 1 },
			    NULL),
		0);
	ck_assert_uint_eq(table->nent, CPUID_ENTRIES_MAX);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		every_named_feature_can_be_hidden_and_nothing_else_is,
		without_xsave_its_leaf_is_empty,
		an_unknown_feature_is_refused_by_name,
		a_guest_can_tell_that_it_is_one,
		topology_is_one_socket_of_single_threaded_cores,
		each_vcpu_has_its_own_apic_id,
		a_full_table_is_not_overrun,
	};

	return SUITE_RUN("cpuid", tests);
}
