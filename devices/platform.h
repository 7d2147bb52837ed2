/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The map of the amber machine: every port, address and interrupt number,
 * in one place, for devices, ACPI tables, boot code and the tiny guests.
 * Plain numbers only, so that assembly may include it.
 */
#ifndef AMBER_DEVICES_PLATFORM_H
#define AMBER_DEVICES_PLATFORM_H

/* Ports */
#define PORT_I8042_DATA	   0x60
#define PORT_I8042_CMD	   0x64
#define PORT_DEBUG_EXIT	   0xf4 /* four ports wide */
#define PORT_MILESTONE	   0xf8
#define PORT_COM1	   0x3f8
#define PORT_PVPANIC	   0x505
#define PORT_SLEEP_CONTROL 0x600 /* ACPI 6.4, 4.8.3.7 */
#define PORT_SLEEP_STATUS  0x601
#define PORT_ACPI_RESET	   0x602
#define PORT_GED_EVENTS	   0x604 /* 32 bits, read to clear */
#define PORT_RESET_CONTROL 0xcf9

#define ACPI_RESET_VALUE 0x01
#define ACPI_S5_SLP_TYP	 5

/* Bits of PORT_GED_EVENTS */
#define GED_POWER_BUTTON 0x1
#define GED_VM_GENID	 0x2

/* Bits of PORT_PVPANIC */
#define PVPANIC_PANICKED    0x1
#define PVPANIC_CRASHLOADED 0x2

/* Values of PORT_MILESTONE that have a meaning; others are only recorded */
#define MILESTONE_KERNEL 1
#define MILESTONE_INIT	 2
#define MILESTONE_READY	 3

/* Global system interrupts: pins of the I/O APIC */
#define GSI_KEYBOARD 1
#define GSI_COM1     4
#define GSI_GED	     5
#define GSI_VIRTIO   6
#define GSI_COUNT    24

/* Guest physical addresses */
#define RAM_HOLE_START	 0xc0000000
#define RAM_HOLE_END	 0x100000000
#define VIRTIO_MMIO_BASE 0xd0000000
#define VIRTIO_MMIO_STEP 0x1000
#define VIRTIO_MMIO_MAX	 16
#define IOAPIC_BASE	 0xfec00000
#define LAPIC_BASE	 0xfee00000
#define KVM_IDENTITY_MAP 0xfffbc000
#define KVM_TSS		 0xfffbd000

/* Boot data below 1 MiB */
#define BOOT_GDT	 0x500
#define BOOT_START_INFO	 0x6000
#define BOOT_ZERO_PAGE	 0x7000
#define BOOT_PAGE_TABLES 0x9000
#define BOOT_CMDLINE	 0x20000
#define BOOT_LOW_END	 0x9fc00
#define ACPI_TABLES	 0xe0000
#define ACPI_TABLES_END	 0x100000
#define BOOT_HIGH_START	 0x100000

#endif
