/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The devices of the amber machine in AML; sections are those of ACPI 6.4.
 * Same threads as acpi_build(). Invariants: a name that a method uses is
 * defined in this block; every port and GSI comes from platform.h.
 */
#include "vmm/acpi_dsdt.h"

#include <stdio.h>

#include "devices/platform.h"
#include "vmm/acpi.h"
#include "vmm/aml.h"

#define NOTIFY_STATUS_CHANGE 0x80
#define STA_PRESENT_ALL	     0xf /* 6.3.7: present, enabled, shown, working */

#define COM1_PORTS	 8
#define DEBUG_EXIT_PORTS 4
#define GED_EVENTS_BYTES 4
#define POWER_PORTS	 (PORT_GED_EVENTS + GED_EVENTS_BYTES - PORT_SLEEP_CONTROL)

static void device_eisa(struct aml *a, const char *name, const char *id)
{
	aml_device(a, name);
	aml_name(a, "_HID");
	aml_eisaid(a, id);
}

static void device_text(struct aml *a, const char *name, const char *id)
{
	aml_device(a, name);
	aml_name(a, "_HID");
	aml_string(a, id);
}

static void named_integer(struct aml *a, const char *name, uint64_t v)
{
	aml_name(a, name);
	aml_integer(a, v);
}

static void current_resources(struct aml *a)
{
	aml_name(a, "_CRS");
	aml_resources(a);
}

/*
 * 8.4: processors are devices; _UID is what the MADT entry carries. Three
 * hexadecimal digits name them.
 */
static void processors(struct aml *a, uint32_t cpus)
{
	char name[5];
	uint32_t i;

	_Static_assert(ACPI_CPUS_MAX <= 0x1000, "three digits of a CPU's name");
	for (i = 0; i < cpus; i++) {
		snprintf(name, sizeof(name), "C%03X", i & 0xfff);
		device_text(a, name, "ACPI0007");
		named_integer(a, "_UID", i);
		aml_end(a);
	}
}

/* 4.8.2.2.1.2: the control method power button. */
static void power_button(struct aml *a)
{
	device_eisa(a, "PWRB", "PNP0C0C");
	aml_end(a);
}

/*
 * The Virtual Machine Generation ID device: found through _CID (the long
 * one is the original, the short one has a legal length), ADDR is the low
 * and the high half of the address of the sixteen bytes.
 */
static void generation_id(struct aml *a)
{
	device_text(a, "VGEN", "AMBR0001");
	aml_name(a, "_CID");
	aml_package(a, 2);
	aml_string(a, "VM_Gen_Counter");
	aml_string(a, "VMGENCTR");
	aml_end(a);
	aml_name(a, "_DDN");
	aml_string(a, "VM_Gen_Counter");
	aml_name(a, "ADDR");
	aml_package(a, 2);
	aml_integer(a, ACPI_GENID & UINT32_MAX);
	aml_integer(a, (uint64_t)ACPI_GENID >> 32);
	aml_end(a);
	aml_end(a);
}

/*
 * 5.6.9: the generic event device. Reading the event register clears it, so
 * _EVT reads it once and then looks at each bit.
 */
static void event_method(struct aml *a)
{
	aml_method(a, "_EVT", 1, true);
	aml_load_local(a, "EVTS", 0);
	aml_if_local_has(a, 0, GED_POWER_BUTTON);
	aml_notify(a, "PWRB", NOTIFY_STATUS_CHANGE);
	aml_end(a);
	aml_if_local_has(a, 0, GED_VM_GENID);
	aml_notify(a, "VGEN", NOTIFY_STATUS_CHANGE);
	aml_end(a);
	aml_end(a);
}

static void event_device(struct aml *a)
{
	device_text(a, "GED", "ACPI0013");
	current_resources(a);
	aml_interrupt_level(a, GSI_GED);
	aml_resources_end(a);
	aml_port_region(a, "EVTR", PORT_GED_EVENTS, GED_EVENTS_BYTES);
	aml_field_u32(a, "EVTR", "EVTS");
	event_method(a);
	aml_end(a);
}

static void serial_port(struct aml *a)
{
	device_eisa(a, "COM1", "PNP0501");
	current_resources(a);
	aml_ports(a, PORT_COM1, COM1_PORTS);
	aml_interrupt_edge(a, GSI_COM1);
	aml_resources_end(a);
	aml_end(a);
}

static void keyboard(struct aml *a)
{
	device_eisa(a, "KBD", "PNP0303");
	current_resources(a);
	aml_ports(a, PORT_I8042_DATA, 1);
	aml_ports(a, PORT_I8042_CMD, 1);
	aml_interrupt_edge(a, GSI_KEYBOARD);
	aml_resources_end(a);
	aml_end(a);
}

static void panic_device(struct aml *a)
{
	device_text(a, "PEVT", "QEMU0001");
	named_integer(a, "_STA", STA_PRESENT_ALL);
	current_resources(a);
	aml_ports(a, PORT_PVPANIC, 1);
	aml_resources_end(a);
	aml_end(a);
}

/* Ports that no driver claims through a device of their own. */
static void motherboard(struct aml *a)
{
	device_eisa(a, "MBRD", "PNP0C02");
	current_resources(a);
	aml_ports(a, PORT_DEBUG_EXIT, DEBUG_EXIT_PORTS);
	aml_ports(a, PORT_MILESTONE, 1);
	aml_ports(a, PORT_SLEEP_CONTROL, POWER_PORTS);
	aml_ports(a, PORT_RESET_CONTROL, 1);
	aml_resources_end(a);
	aml_end(a);
}

static void virtio_slots(struct aml *a, uint32_t slots)
{
	char name[5];
	uint32_t i;

	_Static_assert(VIRTIO_MMIO_MAX <= 0x100, "two digits of a slot's name");
	_Static_assert(GSI_VIRTIO + VIRTIO_MMIO_MAX <= GSI_COUNT,
		       "a pin of the I/O APIC for each slot");
	for (i = 0; i < slots; i++) {
		snprintf(name, sizeof(name), "VM%02X", i & 0xff);
		device_text(a, name, "LNRO0005");
		named_integer(a, "_UID", i);
		current_resources(a);
		aml_memory32(a, VIRTIO_MMIO_BASE + i * VIRTIO_MMIO_STEP,
			     VIRTIO_MMIO_STEP);
		aml_interrupt_edge(a, GSI_VIRTIO + i);
		aml_resources_end(a);
		aml_end(a);
	}
}

/* 7.4.2: with the sleep control register only the first element counts. */
static void soft_off(struct aml *a)
{
	aml_name(a, "\\_S5");
	aml_package(a, 4);
	aml_integer(a, ACPI_S5_SLP_TYP);
	aml_integer(a, 0);
	aml_integer(a, 0);
	aml_integer(a, 0);
	aml_end(a);
}

int acpi_dsdt_body(struct buf *out, const struct acpi_config *config)
{
	struct aml a;

	aml_init(&a, out);
	soft_off(&a);
	aml_scope(&a, "\\_SB");
	processors(&a, config->cpus);
	power_button(&a);
	generation_id(&a);
	event_device(&a);
	serial_port(&a);
	keyboard(&a);
	panic_device(&a);
	motherboard(&a);
	virtio_slots(&a, config->virtio_slots);
	aml_end(&a);
	return aml_finish(&a);
}
