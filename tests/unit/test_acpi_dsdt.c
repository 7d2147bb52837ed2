/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The devices of the DSDT, read back from guest memory with a reader of its
 * own (aml_read.h). One thread.
 */
#include "tests/unit/acpi_rig.h"
#include "tests/unit/aml_read.h"
#include "tests/unit/suite.h"

#define CLAIMS_MAX    16
#define FIXED_DEVICES 7

struct claim { /* one descriptor of a _CRS */
	enum { PORTS, MEMORY, GSI } kind;
	uint32_t base, count;
};

struct claims {
	struct claim claim[CLAIMS_MAX];
	unsigned int n;
};

static struct aml_tree tree; /* of the test that runs */

static void read_dsdt(struct rig *r, uint32_t cpus, uint32_t slots)
{
	rig_make(r, cpus, slots);
	aml_read(&tree, find_dsdt(r));
}

/* The nth device with this _HID; NULL behind the last one. */
static const struct aml_unit *device(const char *hid, unsigned int n)
{
	unsigned int i;
	char text[16];

	for (i = 1; i < tree.units; i++) {
		aml_hid(&tree.unit[i], text);
		if (strcmp(text, hid) == 0 && n-- == 0)
			return &tree.unit[i];
	}
	return NULL;
}

/* One descriptor (ACPI 6.4, 6.4); returns its bytes. */
static size_t read_descriptor(const uint8_t *p, struct claim *c)
{
	switch (p[0]) {
	case 0x47:
		ck_assert_uint_eq(p[1], 1);
		ck_assert_uint_eq(get_le16(p + 2), get_le16(p + 4));
		*c = (struct claim){ PORTS, get_le16(p + 2), p[7] };
		return 8;
	case 0x86:
		ck_assert_uint_eq(get_le16(p + 1), 9);
		ck_assert_uint_eq(p[3], 1);
		*c = (struct claim){ MEMORY, get_le32(p + 4), get_le32(p + 8) };
		return 12;
	case 0x89:
		ck_assert_uint_eq(get_le16(p + 1), 6);
		/* consumer, high; the event device's is a level */
		ck_assert_uint_eq(p[4], 1);
		ck_assert_uint_eq(p[3], get_le32(p + 5) == GSI_GED ? 0x1 : 0x3);
		*c = (struct claim){ GSI, get_le32(p + 5), 1 };
		return 9;
	default:
		ck_abort_msg("descriptor 0x%02x", p[0]);
		return 0;
	}
}

static void read_claims(const struct aml_unit *u, struct claims *c)
{
	const struct aml_object *o = aml_get(u, "_CRS");
	const uint8_t *p, *end;

	c->n = 0;
	if (!o)
		return;
	ck_assert_int_eq(o->kind, AML_BUFFER);
	p = o->span.p;
	end = o->span.end - 2;
	while (p < end) {
		ck_assert_uint_lt(c->n, CLAIMS_MAX);
		p += read_descriptor(p, &c->claim[c->n++]);
	}
	ck_assert_ptr_eq(p, end);
	ck_assert_uint_eq(p[0], 0x79);
	ck_assert_uint_eq(p[1], 0);
}

static void check_claims(const char *hid, unsigned int nth,
			 const struct claim *want, unsigned int n)
{
	const struct aml_unit *u = device(hid, nth);
	struct claims c;
	unsigned int i;

	ck_assert_msg(u != NULL, "no device %s", hid);
	read_claims(u, &c);
	ck_assert_uint_eq(c.n, n);
	for (i = 0; i < n; i++) {
		ck_assert_int_eq(c.claim[i].kind, want[i].kind);
		ck_assert_uint_eq(c.claim[i].base, want[i].base);
		ck_assert_uint_eq(c.claim[i].count, want[i].count);
	}
}

#define CHECK_CLAIMS(hid, nth, want) \
	check_claims(hid, nth, want, sizeof(want) / sizeof((want)[0]))

static uint64_t integer(const struct aml_unit *u, const char *name)
{
	const struct aml_object *o = aml_get(u, name);

	ck_assert_ptr_nonnull(o);
	ck_assert_int_eq(o->kind, AML_INTEGER);
	return o->value;
}

START_TEST(each_cpu_is_a_device_with_the_uid_of_the_madt)
{
	static const uint32_t cpus[] = { 1, 2, 255, 256, ACPI_CPUS_MAX };
	struct rig r;
	size_t i;
	uint32_t c;

	for (i = 0; i < sizeof(cpus) / sizeof(cpus[0]); i++) {
		read_dsdt(&r, cpus[i], 0);
		ck_assert_uint_eq(tree.units, 1 + cpus[i] + FIXED_DEVICES);
		for (c = 0; c < cpus[i]; c++) {
			ck_assert_uint_eq(integer(&tree.unit[1 + c], "_UID"),
					  c);
			ck_assert_str_eq(
				aml_get(&tree.unit[1 + c], "_HID")->text,
				"ACPI0007");
		}
		ck_assert_ptr_null(device("ACPI0007", cpus[i]));
		rig_fini(&r);
	}
}
END_TEST

START_TEST(each_virtio_slot_is_a_device_with_its_registers_and_gsi)
{
	static const uint32_t slots[] = { 0, 1, 16 };
	struct rig r;
	uint32_t s;
	size_t i;

	for (i = 0; i < sizeof(slots) / sizeof(slots[0]); i++) {
		read_dsdt(&r, 2, slots[i]);
		for (s = 0; s < slots[i]; s++) {
			struct claim want[] = {
				{ MEMORY, 0xd0000000 + s * 0x1000, 0x1000 },
				{ GSI, 6 + s, 1 },
			};

			CHECK_CLAIMS("LNRO0005", s, want);
			ck_assert_uint_eq(
				integer(device("LNRO0005", s), "_UID"), s);
		}
		ck_assert_ptr_null(device("LNRO0005", slots[i]));
		rig_fini(&r);
	}
}
END_TEST

START_TEST(the_fixed_devices_claim_their_ports_and_gsis)
{
	static const struct claim com1[] = { { PORTS, 0x3f8, 8 },
					     { GSI, 4, 1 } };
	static const struct claim keyboard[] = { { PORTS, 0x60, 1 },
						 { PORTS, 0x64, 1 },
						 { GSI, 1, 1 } };
	static const struct claim panic[] = { { PORTS, 0x505, 1 } };
	static const struct claim events[] = { { GSI, 5, 1 } };
	static const struct claim board[] = { { PORTS, 0xf4, 4 },
					      { PORTS, 0xf8, 1 },
					      { PORTS, 0x600, 8 },
					      { PORTS, 0xcf9, 1 } };
	struct rig r;

	read_dsdt(&r, 1, 0);
	CHECK_CLAIMS("PNP0501", 0, com1);
	CHECK_CLAIMS("PNP0303", 0, keyboard);
	CHECK_CLAIMS("QEMU0001", 0, panic);
	ck_assert_uint_eq(integer(device("QEMU0001", 0), "_STA"), 0xf);
	CHECK_CLAIMS("ACPI0013", 0, events);
	CHECK_CLAIMS("PNP0C02", 0, board);
	ck_assert_ptr_nonnull(device("PNP0C0C", 0));
	rig_fini(&r);
}
END_TEST

static bool clash(const struct claim *a, const struct claim *b)
{
	if (a->kind != b->kind)
		return false;
	return a->base < b->base + b->count && b->base < a->base + a->count;
}

START_TEST(no_two_devices_share_a_name_a_port_or_a_gsi)
{
	static struct claims all[AML_DEVICES_MAX];
	unsigned int i, k, m, n;
	struct rig r;

	read_dsdt(&r, 3, 16);
	for (i = 1; i < tree.units; i++) {
		read_claims(&tree.unit[i], &all[i]);
		for (k = 1; k < i; k++) {
			ck_assert_str_ne(tree.unit[i].name, tree.unit[k].name);
			for (m = 0; m < all[i].n; m++)
				for (n = 0; n < all[k].n; n++)
					ck_assert(!clash(&all[i].claim[m],
							 &all[k].claim[n]));
		}
	}
	rig_fini(&r);
}
END_TEST

START_TEST(the_event_device_has_a_method_with_one_argument)
{
	unsigned int i;
	struct rig r;

	read_dsdt(&r, 1, 2);
	ck_assert_int_eq(device("ACPI0013", 0)->method_args, 1);
	for (i = 0; i < tree.units; i++)
		if (&tree.unit[i] != device("ACPI0013", 0))
			ck_assert_int_eq(tree.unit[i].method_args, -1);
	rig_fini(&r);
}
END_TEST

START_TEST(addr_leads_to_the_generation_id)
{
	const struct aml_object *addr, *cid;
	struct aml_object low, high;
	const struct aml_unit *u;
	struct aml_span s;
	struct rig r;

	read_dsdt(&r, 1, 0);
	u = device("AMBR0001", 0);
	ck_assert_ptr_nonnull(u);
	addr = aml_get(u, "ADDR");
	ck_assert_int_eq(addr->kind, AML_PACKAGE);
	ck_assert_uint_eq(addr->count, 2);
	s = addr->span;
	aml_read_object(&s, &low);
	aml_read_object(&s, &high);
	ck_assert_ptr_eq(s.p, s.end);
	ck_assert_int_eq(low.kind, AML_INTEGER);
	ck_assert_int_eq(high.kind, AML_INTEGER);
	ck_assert_uint_eq(low.value | high.value << 32, r.result.genid_gpa);
	cid = aml_get(u, "_CID");
	ck_assert_int_eq(cid->kind, AML_PACKAGE);
	ck_assert_uint_eq(cid->count, 2);
	s = cid->span;
	aml_read_object(&s, &low);
	aml_read_object(&s, &high);
	ck_assert_str_eq(low.text, "VM_Gen_Counter");
	ck_assert_str_eq(high.text, "VMGENCTR");
	ck_assert_str_eq(aml_get(u, "_DDN")->text, "VM_Gen_Counter");
	rig_fini(&r);
}
END_TEST

START_TEST(s5_has_the_sleep_type_of_the_power_device)
{
	const struct aml_object *s5;
	struct aml_object type;
	struct aml_span s;
	struct rig r;

	read_dsdt(&r, 1, 0);
	s5 = aml_get(&tree.unit[0], "_S5_");
	ck_assert_ptr_nonnull(s5);
	ck_assert_uint_eq(s5->count, 4);
	s = s5->span;
	aml_read_object(&s, &type);
	ck_assert_uint_eq(type.value, 5);
	ck_assert_uint_eq(tree.unit[0].objects, 1); /* and no other state */
	rig_fini(&r);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		each_cpu_is_a_device_with_the_uid_of_the_madt,
		each_virtio_slot_is_a_device_with_its_registers_and_gsi,
		the_fixed_devices_claim_their_ports_and_gsis,
		no_two_devices_share_a_name_a_port_or_a_gsi,
		the_event_device_has_a_method_with_one_argument,
		addr_leads_to_the_generation_id,
		s5_has_the_sleep_type_of_the_power_device,
	};

	return SUITE_RUN("acpi_dsdt", tests);
}
