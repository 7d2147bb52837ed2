/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ACPI tables of the amber machine (ACPI 6.4, hardware-reduced), written
 * into guest memory from ACPI_TABLES up. Built by the thread that builds or
 * resets the machine, while no vCPU runs. Pure: the same configuration gives
 * the same bytes at the same places, every time.
 */
#ifndef AMBER_VMM_ACPI_H
#define AMBER_VMM_ACPI_H

#include <stdint.h>

#include "devices/gmem.h"
#include "devices/platform.h"

struct err;

/* As many as KVM takes; the tables of that many fit below ACPI_GENID. */
#define ACPI_CPUS_MAX 1024

/* APIC ids below this have xAPIC entries, the others x2APIC ones. */
#define ACPI_XAPIC_IDS 255

#define ACPI_GENID_BYTES 16

/*
 * Where the VM generation id lies: in reserved memory, at the same place in
 * every machine, so that a clone only writes there; no table shares its page.
 */
#define ACPI_GENID (ACPI_TABLES_END - 0x1000)

/*
 * Where a PC's BIOS is entered (F000:FFF0). Linux 6.1 prefers EFI to the
 * FADT's reset register on a hardware-reduced machine and, without EFI,
 * reboots by jumping here in real mode: the code writes the reset register.
 */
#define ACPI_BIOS_ENTRY 0xffff0

#define ACPI_TABLES_MAX 8

struct acpi_config {
	uint32_t cpus;	       /* 1..ACPI_CPUS_MAX; APIC id = index = _UID */
	uint32_t virtio_slots; /* 0..VIRTIO_MMIO_MAX, from slot 0 up */
	uint8_t genid[ACPI_GENID_BYTES];
};

struct acpi_table {
	char name[5]; /* its signature; "RSDP" for the root pointer */
	gpa_t gpa;
	uint32_t bytes;
};

struct acpi_result {
	gpa_t rsdp;
	gpa_t genid_gpa; /* of ACPI_GENID_BYTES; a change is a plain write */
	uint64_t bytes;	 /* from rsdp to the end of the last table */
	struct acpi_table table[ACPI_TABLES_MAX];
	unsigned int tables;
};

/*
 * Writes RSDP, DSDT, FADT, MADT, SPCR and XSDT, the generation id, and the
 * code at ACPI_BIOS_ENTRY. Touches the pages of [rsdp, rsdp + bytes) and the
 * page of genid_gpa only.
 * Interrupts are declared active high: the GED's as level, all others as
 * edge; those of virtio slot n are GSI_VIRTIO + n. Errors, with nothing
 * written: -EINVAL (a number out of range), -ENOSPC (too many tables for the
 * window), -ENOMEM, -EFAULT (the window is not guest RAM).
 */
int acpi_build(struct acpi_result *out, const struct acpi_config *config,
	       const struct gmem *mem, struct err *e);

#endif
