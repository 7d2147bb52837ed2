/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bare program's ports: as little of each device as the tiny guests need
 * to be tried without amber. Any vCPU thread enters through serve_io();
 * `lock` guards all state here.
 */
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tests/bench/bare.h"

#define QUEUE_BYTES 256

/* Bytes on their way to the guest: serial input or key codes. */
struct queue {
	uint8_t bytes[QUEUE_BYTES];
	unsigned head, tail;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int vm_fd;
static struct queue serial_in, kbd_out;
static uint8_t ged_events, kbd_mode, uart_scratch;
static bool kbd_mode_next, saw_first_byte;
static const uint8_t cad_set1[] = { 0x1d, 0x38, 0xe0, 0x53 };

static void queue_put(struct queue *q, const uint8_t *bytes, size_t n)
{
	while (n-- > 0 && q->tail - q->head < QUEUE_BYTES)
		q->bytes[q->tail++ % QUEUE_BYTES] = *bytes++;
}

static bool queue_get(struct queue *q, uint8_t *byte)
{
	if (q->head == q->tail)
		return false;
	*byte = q->bytes[q->head++ % QUEUE_BYTES];
	return true;
}

static void pulse(unsigned gsi)
{
	struct kvm_irq_level level = { .irq = gsi, .level = 1 };

	must(ioctl(vm_fd, KVM_IRQ_LINE, &level), "KVM_IRQ_LINE");
	level.level = 0;
	must(ioctl(vm_fd, KVM_IRQ_LINE, &level), "KVM_IRQ_LINE");
}

/* What the person asked to happen once the guest says it is ready. */
static void guest_is_ready(void)
{
	if (opt.input) {
		queue_put(&serial_in, (const uint8_t *)opt.input,
			  strlen(opt.input));
		pulse(GSI_COM1);
	}
	if (opt.button) {
		ged_events |= GED_POWER_BUTTON;
		pulse(GSI_GED);
	}
	if (opt.keys) {
		queue_put(&kbd_out, cad_set1, sizeof(cad_set1));
		pulse(GSI_KEYBOARD);
	}
}

static void serial_out(uint8_t byte)
{
	if (!saw_first_byte) {
		saw_first_byte = true;
		if (opt.first_byte)
			fprintf(stderr, "first_byte_us=%.1f\n",
				(double)(now_ns() - opt.t0_ns) / 1000);
	}
	if (write(STDOUT_FILENO, &byte, 1) != 1)
		finish(END_HOST, "stdout is gone");
}

static void kbd_command(uint8_t command)
{
	if (command == 0xfe)
		finish(END_REBOOT, "reboot by the keyboard controller");
	if (command == 0x20)
		queue_put(&kbd_out, &kbd_mode, 1);
	kbd_mode_next = command == 0x60;
}

static void port_write(uint16_t port, uint8_t byte)
{
	switch (port) {
	case PORT_COM1:
		serial_out(byte);
		break;
	case PORT_COM1 + 7:
		uart_scratch = byte;
		break;
	case PORT_I8042_CMD:
		kbd_command(byte);
		break;
	case PORT_I8042_DATA:
		if (kbd_mode_next)
			kbd_mode = byte;
		kbd_mode_next = false;
		break;
	case PORT_DEBUG_EXIT:
		finish(byte, NULL);
	case PORT_MILESTONE:
		if (byte == MILESTONE_READY)
			guest_is_ready();
		break;
	case PORT_PVPANIC:
		finish(END_PANIC, "the guest panicked");
	case PORT_SLEEP_CONTROL:
		if (byte == (ACPI_S5_SLP_TYP << 2 | 1 << 5))
			finish(END_POWEROFF, "power off");
		break;
	case PORT_ACPI_RESET:
		if (byte == ACPI_RESET_VALUE)
			finish(END_REBOOT, "reboot by the ACPI register");
		break;
	case PORT_RESET_CONTROL:
		if (byte & 4)
			finish(END_REBOOT, "reboot by port 0xcf9");
		break;
	default:
		break;
	}
}

static uint8_t port_read(uint16_t port)
{
	uint8_t byte = 0xff;

	switch (port) {
	case PORT_COM1:
		byte = 0;
		queue_get(&serial_in, &byte);
		break;
	case PORT_COM1 + 2:
		byte = serial_in.head != serial_in.tail ? 0xc4 : 0xc1;
		break;
	case PORT_COM1 + 5:
		byte = 0x60 | (serial_in.head != serial_in.tail);
		break;
	case PORT_COM1 + 7:
		byte = uart_scratch;
		break;
	case PORT_I8042_CMD:
		byte = 0x04 | (kbd_out.head != kbd_out.tail);
		break;
	case PORT_I8042_DATA:
		byte = 0;
		queue_get(&kbd_out, &byte);
		if (kbd_out.head != kbd_out.tail)
			pulse(GSI_KEYBOARD);
		break;
	case PORT_GED_EVENTS:
		byte = ged_events;
		ged_events = 0;
		break;
	case PORT_GED_EVENTS + 1:
	case PORT_GED_EVENTS + 2:
	case PORT_GED_EVENTS + 3:
		byte = 0;
		break;
	default:
		break;
	}
	return byte;
}

/* Byte by byte: enough for devices whose registers are bytes. */
void serve_io(int vm, struct kvm_run *run)
{
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	uint32_t i, b;

	pthread_mutex_lock(&lock);
	vm_fd = vm;
	for (i = 0; i < run->io.count; i++) {
		for (b = 0; b < run->io.size; b++, data++) {
			if (run->io.direction == KVM_EXIT_IO_OUT)
				port_write((uint16_t)(run->io.port + b), *data);
			else
				*data = port_read((uint16_t)(run->io.port + b));
		}
	}
	pthread_mutex_unlock(&lock);
}
