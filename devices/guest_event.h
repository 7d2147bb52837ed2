/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest tells the machine through a device: "switch me off", "I
 * panicked", "my exit status is 3". Devices emit, the machine decides.
 */
#ifndef AMBER_DEVICES_GUEST_EVENT_H
#define AMBER_DEVICES_GUEST_EVENT_H

#include <stdint.h>

enum guest_event_kind {
	GUEST_POWEROFF,	    /* ACPI S5 */
	GUEST_RESET,	    /* value: enum guest_reset_source */
	GUEST_PANIC,	    /* pvpanic bit 0 */
	GUEST_CRASH_LOADED, /* pvpanic bit 1: its own crash kernel takes over */
	GUEST_DEBUG_EXIT,   /* value: the byte written */
	GUEST_MILESTONE,    /* value: the byte written */
};

enum guest_reset_source {
	GUEST_RESET_ACPI,
	GUEST_RESET_I8042,
	GUEST_RESET_CF9,
};

/*
 * Where devices send events. emit is called on a vCPU thread, with the
 * device's lock held: it must not call back into the device and not block.
 */
struct guest_event_sink {
	void (*emit)(void *ctx, enum guest_event_kind kind, uint32_t value);
	void *ctx;
};

static inline void guest_event(const struct guest_event_sink *sink,
			       enum guest_event_kind kind, uint32_t value)
{
	sink->emit(sink->ctx, kind, value);
}

#endif
