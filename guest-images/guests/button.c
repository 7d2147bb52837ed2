/* SPDX-License-Identifier: Apache-2.0 */
/*
 * button: sleeps until somebody asks it to end. The ACPI power button prints
 * powerbutton=1, Ctrl-Alt-Del prints ctrlaltdel=1; both then power off
 * through S5. powerbutton=ignore and ctrlaltdel=ignore print =ignored and
 * stay. A new VM generation id prints vmgenid=1.
 */
#include "guest-images/runtime/guest.h"

#define VECTOR_BUTTON	VECTOR_GSI
#define VECTOR_KEYBOARD (VECTOR_GSI + 1)

#define KBD_OUTPUT_FULL	  0x01
#define KBD_INPUT_FULL	  0x02
#define KBD_WRITE_MODE	  0x60
#define KBD_ENABLE	  0xae
#define KBD_SCAN	  0xf4 /* to the keyboard: report keys */
#define KBD_MODE_IRQ_XLAT 0x61 /* keyboard interrupt, no mouse, set 1 */

/* Scan codes of set 1 (translated) and set 2. */
struct keys {
	uint8_t ctrl, alt, del;
};
static const struct keys set1 = { 0x1d, 0x38, 0x53 };
static const struct keys set2 = { 0x14, 0x11, 0x71 };

static volatile uint32_t ged_events;
static volatile bool ctrl_alt_del;

static void on_ged(void)
{
	ged_events |= inl(PORT_GED_EVENTS);
}

/* True when the last three codes, 0xe0 prefixes left out, are these keys. */
static bool are(const uint8_t last[3], const struct keys *k)
{
	return last[0] == k->ctrl && last[1] == k->alt && last[2] == k->del;
}

static void on_keyboard(void)
{
	static uint8_t last[3];

	while (inb(PORT_I8042_CMD) & KBD_OUTPUT_FULL) {
		uint8_t code = inb(PORT_I8042_DATA);

		if (code == 0xe0)
			continue;
		last[0] = last[1];
		last[1] = last[2];
		last[2] = code;
		if (are(last, &set1) || are(last, &set2))
			ctrl_alt_del = true;
	}
}

/* A bounded number of looks: the controller is there, or it never was. */
static void kbd_send(uint16_t port, uint8_t value)
{
	unsigned i;

	for (i = 0; i < 100 && (inb(PORT_I8042_CMD) & KBD_INPUT_FULL); i++)
		;
	outb(port, value);
}

static void kbd_init(void)
{
	kbd_send(PORT_I8042_CMD, KBD_WRITE_MODE);
	kbd_send(PORT_I8042_DATA, KBD_MODE_IRQ_XLAT);
	kbd_send(PORT_I8042_CMD, KBD_ENABLE);
	kbd_send(PORT_I8042_DATA, KBD_SCAN);
}

static void asked_by(const char *key)
{
	if (arg_is(key, "ignore")) {
		fact_text(key, "ignored");
		return;
	}
	fact_u64(key, 1);
	guest_poweroff();
}

static void serve(void)
{
	uint32_t events = ged_events;
	bool keys = ctrl_alt_del;

	ged_events = 0;
	ctrl_alt_del = false;
	if (events & GED_VM_GENID)
		fact_u64("vmgenid", 1);
	if (events & GED_POWER_BUTTON)
		asked_by("powerbutton");
	if (keys)
		asked_by("ctrlaltdel");
}

void guest_main(void)
{
	lapic_init();
	trap_handle(VECTOR_BUTTON, on_ged);
	trap_handle(VECTOR_KEYBOARD, on_keyboard);
	ioapic_route_level(GSI_GED, VECTOR_BUTTON);
	ioapic_route(GSI_KEYBOARD, VECTOR_KEYBOARD);
	kbd_init();
	guest_ready();
	for (;;) {
		cpu_wait();
		serve();
	}
}
