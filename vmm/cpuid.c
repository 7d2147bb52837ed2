/* SPDX-License-Identifier: Apache-2.0 */
/* CPUID tables; pure but for cpuid_supported(); any thread. */
#include "vmm/cpuid.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

enum reg { EAX, EBX, ECX, EDX };

struct feature {
	const char *name; /* as in /proc/cpuinfo */
	uint32_t leaf, subleaf;
	enum reg reg;
	uint8_t bit;
};

static const struct feature features[] = {
	{ "sse3", 1, 0, ECX, 0 },
	{ "pclmulqdq", 1, 0, ECX, 1 },
	{ "ssse3", 1, 0, ECX, 9 },
	{ "fma", 1, 0, ECX, 12 },
	{ "cx16", 1, 0, ECX, 13 },
	{ "pcid", 1, 0, ECX, 17 },
	{ "sse4_1", 1, 0, ECX, 19 },
	{ "sse4_2", 1, 0, ECX, 20 },
	{ "x2apic", 1, 0, ECX, 21 },
	{ "movbe", 1, 0, ECX, 22 },
	{ "popcnt", 1, 0, ECX, 23 },
	{ "tsc_deadline", 1, 0, ECX, 24 },
	{ "aes", 1, 0, ECX, 25 },
	{ "xsave", 1, 0, ECX, 26 },
	{ "avx", 1, 0, ECX, 28 },
	{ "f16c", 1, 0, ECX, 29 },
	{ "rdrand", 1, 0, ECX, 30 },
	{ "fsgsbase", 7, 0, EBX, 0 },
	{ "bmi1", 7, 0, EBX, 3 },
	{ "hle", 7, 0, EBX, 4 },
	{ "avx2", 7, 0, EBX, 5 },
	{ "smep", 7, 0, EBX, 7 },
	{ "bmi2", 7, 0, EBX, 8 },
	{ "erms", 7, 0, EBX, 9 },
	{ "invpcid", 7, 0, EBX, 10 },
	{ "rtm", 7, 0, EBX, 11 },
	{ "avx512f", 7, 0, EBX, 16 },
	{ "rdseed", 7, 0, EBX, 18 },
	{ "adx", 7, 0, EBX, 19 },
	{ "smap", 7, 0, EBX, 20 },
	{ "clflushopt", 7, 0, EBX, 23 },
	{ "clwb", 7, 0, EBX, 24 },
	{ "sha_ni", 7, 0, EBX, 29 },
	{ "umip", 7, 0, ECX, 2 },
	{ "pku", 7, 0, ECX, 3 },
	{ "vaes", 7, 0, ECX, 9 },
	{ "la57", 7, 0, ECX, 16 },
	{ "rdpid", 7, 0, ECX, 22 },
	{ "fsrm", 7, 0, EDX, 4 },
	{ "amx_tile", 7, 0, EDX, 24 },
	{ "xsaveopt", 0xd, 1, EAX, 0 },
	{ "xsavec", 0xd, 1, EAX, 1 },
	{ "xgetbv1", 0xd, 1, EAX, 2 },
	{ "xsaves", 0xd, 1, EAX, 3 },
	{ "lzcnt", 0x80000001, 0, ECX, 5 },
	{ "sse4a", 0x80000001, 0, ECX, 6 },
	{ "topoext", 0x80000001, 0, ECX, 22 },
	{ "pdpe1gb", 0x80000001, 0, EDX, 26 },
	{ "rdtscp", 0x80000001, 0, EDX, 27 },
	{ "invtsc", 0x80000007, 0, EDX, 8 },
	{ "kvmclock", 0x40000001, 0, EAX, 3 },
	{ "kvm_pv_eoi", 0x40000001, 0, EAX, 6 },
	{ "kvm_pv_unhalt", 0x40000001, 0, EAX, 7 },
	{ "kvm_pv_ipi", 0x40000001, 0, EAX, 11 },
};

#define FEATURES (sizeof(features) / sizeof(features[0]))

#define LEAF_HYPERVISOR 0x40000000u
#define LEAF_TIMING	0x40000010u
#define APIC_BUS_KHZ	1000000u /* KVM's LAPIC timer counts nanoseconds */

#define LEAF1_ECX_TSC_DEADLINE (1u << 24)
#define LEAF1_ECX_HYPERVISOR   (1u << 31)
#define LEAF1_EDX_HTT	       (1u << 28)

static struct kvm_cpuid_entry2 *find(struct kvm_cpuid2 *t, uint32_t leaf,
				     uint32_t subleaf)
{
	uint32_t i;

	for (i = 0; i < t->nent; i++)
		if (t->entries[i].function == leaf &&
		    t->entries[i].index == subleaf)
			return &t->entries[i];
	return NULL;
}

static uint32_t *reg_of(struct kvm_cpuid_entry2 *entry, enum reg reg)
{
	switch (reg) {
	case EAX:
		return &entry->eax;
	case EBX:
		return &entry->ebx;
	case ECX:
		return &entry->ecx;
	default:
		return &entry->edx;
	}
}

static const struct feature *feature_find(const char *name)
{
	size_t i;

	for (i = 0; i < FEATURES; i++)
		if (strcmp(features[i].name, name) == 0)
			return &features[i];
	return NULL;
}

bool cpuid_feature_known(const char *name)
{
	return feature_find(name) != NULL;
}

const char *cpuid_feature_name(unsigned int i)
{
	return i < FEATURES ? features[i].name : NULL;
}

int cpuid_supported(int kvm_fd, struct kvm_cpuid2 **out, struct err *e)
{
	struct kvm_cpuid2 *t;
	int r;

	t = calloc(1, sizeof(*t) + CPUID_ENTRIES_MAX * sizeof(t->entries[0]));
	if (!t)
		return err_sys(e, -ENOMEM, "CPUID table");
	t->nent = CPUID_ENTRIES_MAX - 2; /* room for the timing leaf */
	if (ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, t) < 0) {
		r = err_sys(e, -errno, "KVM_GET_SUPPORTED_CPUID");
		free(t);
		return r;
	}
	*out = t;
	return 0;
}

static int disable(struct kvm_cpuid2 *t, const char *name, struct err *e)
{
	const struct feature *f = feature_find(name);
	struct kvm_cpuid_entry2 *entry;
	uint32_t i;

	if (!f)
		return err_set(e, -EINVAL, "cpu_disable: no CPU feature \"%s\"",
			       name);
	entry = find(t, f->leaf, f->subleaf);
	if (entry)
		*reg_of(entry, f->reg) &= ~(1u << f->bit);
	if (f->leaf != 1 || f->bit != 26)
		return 0;
	/* Without XSAVE its leaf is empty (SDM volume 1, 13.2). */
	for (i = 0; i < t->nent; i++) {
		entry = &t->entries[i];
		if (entry->function == 0xd)
			entry->eax = entry->ebx = entry->ecx = entry->edx = 0;
	}
	return 0;
}

/* Bits that hold count different ids. */
static uint32_t id_bits(uint32_t count)
{
	uint32_t bits = 0;

	while ((1u << bits) < count)
		bits++;
	return bits;
}

static void set_leaf1(struct kvm_cpuid2 *t, const struct cpuid_config *c)
{
	struct kvm_cpuid_entry2 *l = find(t, 1, 0);
	uint32_t ids = 1u << id_bits(c->cpus);

	if (!l)
		return;
	l->ecx |= LEAF1_ECX_HYPERVISOR;
	if (c->tsc_deadline)
		l->ecx |= LEAF1_ECX_TSC_DEADLINE;
	l->ebx = (l->ebx & 0xff00ffffu) | (ids > 255 ? 255 : ids) << 16;
	if (c->cpus > 1)
		l->edx |= LEAF1_EDX_HTT;
	else
		l->edx &= ~LEAF1_EDX_HTT;
}

/* Leaves 0xb and 0x1f: threads (one per core), then cores. */
static void set_levels(struct kvm_cpuid_entry2 *l, uint32_t cpus)
{
	switch (l->index) {
	case 0:
		l->eax = 0;
		l->ebx = 1;
		l->ecx = 1 << 8; /* level type: thread */
		break;
	case 1:
		l->eax = id_bits(cpus);
		l->ebx = cpus;
		l->ecx = 1 | 2 << 8; /* level type: core */
		break;
	default:
		l->eax = l->ebx = 0;
		l->ecx = l->index;
	}
}

static void set_topology(struct kvm_cpuid2 *t, uint32_t cpus)
{
	uint32_t bits = id_bits(cpus);
	uint32_t i;

	for (i = 0; i < t->nent; i++) {
		struct kvm_cpuid_entry2 *l = &t->entries[i];

		switch (l->function) {
		case 4: /* cores per package, minus one; private caches */
			if (l->eax & 0x1f)
				l->eax = (l->eax & 0x3fff) | ((1u << bits) - 1)
								     << 26;
			break;
		case 0xb:
		case 0x1f:
			set_levels(l, cpus);
			break;
		case 0x80000008: /* NC and ApicIdCoreIdSize */
			l->ecx = (l->ecx & ~0xf0ffu) | bits << 12 | (cpus - 1);
			break;
		case 0x8000001d: /* no cache is shared between vCPUs */
			l->eax &= ~(0xfffu << 14);
			break;
		}
	}
}

/* KVM's leaves, and the frequencies where VMware put them (0x40000010). */
static void set_hypervisor(struct kvm_cpuid2 *t, const struct cpuid_config *c)
{
	struct kvm_cpuid_entry2 *base = find(t, LEAF_HYPERVISOR, 0);

	if (!base || !c->tsc_khz || t->nent >= CPUID_ENTRIES_MAX)
		return;
	if (find(t, LEAF_TIMING, 0))
		return;
	base->eax = LEAF_TIMING;
	t->entries[t->nent++] = (struct kvm_cpuid_entry2){
		.function = LEAF_TIMING,
		.eax = c->tsc_khz,
		.ebx = APIC_BUS_KHZ,
	};
}

int cpuid_apply(struct kvm_cpuid2 *table, const struct cpuid_config *config,
		struct err *e)
{
	unsigned int i;
	int r;

	set_leaf1(table, config);
	set_topology(table, config->cpus);
	set_hypervisor(table, config);
	for (i = 0; i < config->disables; i++) {
		r = disable(table, config->disable[i], e);
		if (r)
			return r;
	}
	return 0;
}

void cpuid_set_apic_id(struct kvm_cpuid2 *table, uint32_t apic_id)
{
	uint32_t i;

	for (i = 0; i < table->nent; i++) {
		struct kvm_cpuid_entry2 *l = &table->entries[i];

		switch (l->function) {
		case 1:
			l->ebx = (l->ebx & 0x00ffffffu) | apic_id << 24;
			break;
		case 0xb:
		case 0x1f:
			l->edx = apic_id;
			break;
		case 0x8000001e: /* extended APIC id, core id, node id */
			l->eax = apic_id;
			l->ebx = (l->ebx & ~0xffffu) | (apic_id & 0xff);
			l->ecx = 0;
			break;
		}
	}
}
