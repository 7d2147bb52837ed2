/* SPDX-License-Identifier: Apache-2.0 */
/* The AML of the DSDT; for acpi.c alone. Same threads as acpi_build(). */
#ifndef AMBER_VMM_ACPI_DSDT_H
#define AMBER_VMM_ACPI_DSDT_H

struct acpi_config;
struct buf;

/*
 * Appends the definition block's body (what follows the table header) for a
 * configuration that acpi_build() has checked. Returns 0 or the error of
 * aml_finish().
 */
int acpi_dsdt_body(struct buf *out, const struct acpi_config *config);

#endif
