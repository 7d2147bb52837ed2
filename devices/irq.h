/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An interrupt line of the machine as a device sees it. The machine says
 * what is behind it (KVM, or a test's recorder).
 */
#ifndef AMBER_DEVICES_IRQ_H
#define AMBER_DEVICES_IRQ_H

#include <stdbool.h>
#include <stdint.h>

struct irq_line {
	void (*set)(void *ctx, uint32_t gsi, bool level);
	void *ctx;
	uint32_t gsi;
};

/* Drives the line high or low. Any thread; never blocks. */
static inline void irq_set(const struct irq_line *irq, bool level)
{
	irq->set(irq->ctx, irq->gsi, level);
}

#endif
