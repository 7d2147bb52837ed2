/* SPDX-License-Identifier: Apache-2.0 */
/*
 * echo: takes serial input by interrupt and sends each line back as
 * echo=LINE; the line "quit" ends it. Longer lines are cut at 200 bytes.
 */
#include "guest-images/runtime/guest.h"

#define LINE_BYTES  201
#define RING_BYTES  4096
#define UART_IER    (PORT_COM1 + 1)
#define UART_IIR    (PORT_COM1 + 2)
#define UART_FCR    (PORT_COM1 + 2)
#define UART_LCR    (PORT_COM1 + 3)
#define UART_MCR    (PORT_COM1 + 4)
#define UART_LSR    (PORT_COM1 + 5)
#define IER_RX	    0x01
#define FCR_FIFO    0x01
#define LCR_8N1	    0x03
#define MCR_IRQ_ON  0x0b /* DTR, RTS, OUT2 */
#define LSR_RX_DATA 0x01

static volatile uint8_t ring[RING_BYTES];
static volatile unsigned head, tail;

static void on_serial(void)
{
	(void)inb(UART_IIR);
	while (inb(UART_LSR) & LSR_RX_DATA) {
		uint8_t byte = inb(PORT_COM1);

		if (tail - head < RING_BYTES)
			ring[tail++ % RING_BYTES] = byte;
	}
}

static void uart_init(void)
{
	outb(UART_LCR, LCR_8N1);
	outb(UART_FCR, FCR_FIFO);
	outb(UART_MCR, MCR_IRQ_ON);
	outb(UART_IER, IER_RX);
}

static char next_byte(void)
{
	while (head == tail)
		cpu_wait();
	return (char)ring[head++ % RING_BYTES];
}

/* One line without its end; empty lines are passed over. */
static void read_line(char line[LINE_BYTES])
{
	unsigned used = 0;

	for (;;) {
		char c = next_byte();

		if ((c == '\n' || c == '\r') && used > 0)
			break;
		if (c != '\n' && c != '\r' && used < LINE_BYTES - 1)
			line[used++] = c;
	}
	line[used] = '\0';
}

static bool is_quit(const char *line)
{
	return line[0] == 'q' && line[1] == 'u' && line[2] == 'i' &&
	       line[3] == 't' && line[4] == '\0';
}

void guest_main(void)
{
	static char line[LINE_BYTES];

	lapic_init();
	trap_handle(VECTOR_GSI, on_serial);
	ioapic_route(GSI_COM1, VECTOR_GSI);
	uart_init();
	guest_ready();
	for (;;) {
		read_line(line);
		if (is_quit(line))
			return;
		fact_text("echo", line);
	}
}
