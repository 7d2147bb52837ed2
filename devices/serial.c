/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 16550A UART. Entered by vCPU threads (registers) and the loop thread
 * (input, life cycle); the lock guards st and host. INV-1: after every
 * call host.level equals "an enabled interrupt is pending", and the line
 * was driven at each change. INV-2: a receive FIFO that was empty and gets
 * input makes an edge, whatever else holds the line high, so that a guest
 * whose interrupt is edge-triggered never misses input. INV-3: input is taken
 * from the console only while there is room for it, and not while the machine
 * is quiet: what is saved then is all that was taken.
 */
#include "devices/serial.h"

#include <stdlib.h>
#include <string.h>

#include "base/lock.h"

#define FIFO_BYTES 16

/* Register offsets; several depend on LCR_DLAB and on the direction. */
enum { REG_DATA, REG_IER, REG_IIR_FCR, REG_LCR, REG_MCR, REG_LSR, REG_MSR };

#define IER_RECEIVE 0x01
#define IER_THR	    0x02
#define IER_LINE    0x04
#define IER_MODEM   0x08
#define IER_MASK    0x0f

#define IIR_NONE    0x01
#define IIR_MODEM   0x00
#define IIR_THR	    0x02
#define IIR_RECEIVE 0x04
#define IIR_LINE    0x06
#define IIR_TIMEOUT 0x0c
#define IIR_FIFO    0xc0

#define FCR_ENABLE   0x01
#define FCR_CLEAR_RX 0x02
#define FCR_KEPT     0xc9 /* enable, DMA mode, trigger level */

#define LCR_DLAB 0x80

#define MCR_DTR	 0x01
#define MCR_RTS	 0x02
#define MCR_OUT1 0x04
#define MCR_OUT2 0x08
#define MCR_LOOP 0x10
#define MCR_MASK 0x1f

#define LSR_DATA    0x01
#define LSR_OVERRUN 0x02
#define LSR_IDLE    0x60 /* holding and shift register are empty */

#define MSR_CTS	      0x10
#define MSR_DSR	      0x20
#define MSR_RI	      0x40
#define MSR_DCD	      0x80
#define MSR_DELTA     0x0f
#define MSR_DELTA_ANY 0x0b /* CTS, DSR, DCD: either direction */
#define MSR_DELTA_RI  0x04 /* trailing edge only */

struct serial_state {
	uint8_t ier, fcr, lcr, mcr, scr, dll, dlm;
	uint8_t line_errors; /* LSR bits that reading LSR clears */
	uint8_t msr_delta;
	bool thr_pending;	/* THR ran empty and nobody has noticed yet */
	uint8_t rx[FIFO_BYTES]; /* oldest first */
	uint32_t rx_len;
};

struct serial {
	struct device device;
	struct serial_config cfg;
	struct serial_state st;
	struct {
		struct lock lock;
		bool level;	  /* what the line was last driven to */
		bool level_known; /* false after a load */
		bool is_quiet;
		bool has_console; /* its input is for this device */
	} host;
};

static uint32_t rx_room(const struct serial_state *st)
{
	uint32_t size = st->fcr & FCR_ENABLE ? FIFO_BYTES : 1;

	return st->rx_len < size ? size - st->rx_len : 0;
}

static uint32_t rx_trigger(const struct serial_state *st)
{
	static const uint8_t level[] = { 1, 4, 8, 14 };

	return st->fcr & FCR_ENABLE ? level[st->fcr >> 6] : 1;
}

/* The modem inputs; in loop-back the outputs are wired to them. */
static uint8_t modem_inputs(uint8_t mcr)
{
	uint8_t v = 0;

	if (!(mcr & MCR_LOOP))
		return MSR_CTS | MSR_DSR | MSR_DCD;
	v |= mcr & MCR_RTS ? MSR_CTS : 0;
	v |= mcr & MCR_DTR ? MSR_DSR : 0;
	v |= mcr & MCR_OUT1 ? MSR_RI : 0;
	v |= mcr & MCR_OUT2 ? MSR_DCD : 0;
	return v;
}

/* The pending interrupt with the highest priority, as in IIR. */
static uint8_t interrupt_id(const struct serial_state *st)
{
	if ((st->ier & IER_LINE) && st->line_errors)
		return IIR_LINE;
	if ((st->ier & IER_RECEIVE) && st->rx_len)
		return st->rx_len < rx_trigger(st) ? IIR_TIMEOUT : IIR_RECEIVE;
	if ((st->ier & IER_THR) && st->thr_pending)
		return IIR_THR;
	if ((st->ier & IER_MODEM) && st->msr_delta)
		return IIR_MODEM;
	return IIR_NONE;
}

static void drive_locked(struct serial *s) LOCK_NEEDS(s->host.lock)
{
	bool level = interrupt_id(&s->st) != IIR_NONE;

	if (s->host.level_known && s->host.level == level)
		return;
	s->host.level = level;
	s->host.level_known = true;
	irq_set(&s->cfg.irq, level);
}

/*
 * Moves waiting input into the FIFO; in loop-back it stays where it is.
 * INV-2: a line that another interrupt holds high is lowered first.
 */
static void pull_locked(struct serial *s) LOCK_NEEDS(s->host.lock)
{
	struct serial_state *st = &s->st;
	bool was_empty = !st->rx_len;
	uint32_t room = rx_room(st);

	if (!room || (st->mcr & MCR_LOOP) || s->host.is_quiet ||
	    !s->host.has_console)
		return;
	st->rx_len += (uint32_t)console_take_input(s->cfg.console,
						   st->rx + st->rx_len, room);
	if (was_empty && st->rx_len && s->host.level_known && s->host.level) {
		s->host.level = false;
		irq_set(&s->cfg.irq, false);
	}
}

/* A byte that loop-back brings to the receiver. */
static void receive(struct serial_state *st, uint8_t byte)
{
	if (rx_room(st)) {
		st->rx[st->rx_len++] = byte;
		return;
	}
	st->line_errors |= LSR_OVERRUN;
	if (!(st->fcr & FCR_ENABLE))
		st->rx[0] = byte;
}

static uint8_t read_rbr_locked(struct serial *s) LOCK_NEEDS(s->host.lock)
{
	struct serial_state *st = &s->st;
	uint8_t byte = st->rx[0];

	if (!st->rx_len)
		return 0;
	st->rx_len--;
	memmove(st->rx, st->rx + 1, st->rx_len);
	if (!st->rx_len)
		pull_locked(s);
	return byte;
}

static uint8_t read_iir(struct serial_state *st)
{
	uint8_t id = interrupt_id(st);

	if (id == IIR_THR)
		st->thr_pending = false;
	return (uint8_t)(id | (st->fcr & FCR_ENABLE ? IIR_FIFO : 0));
}

static uint8_t read_lsr_locked(struct serial *s) LOCK_NEEDS(s->host.lock)
{
	struct serial_state *st = &s->st;
	uint8_t v;

	if (!st->rx_len)
		pull_locked(s);
	v = (uint8_t)(LSR_IDLE | st->line_errors | (st->rx_len ? LSR_DATA : 0));
	st->line_errors = 0;
	return v;
}

static uint8_t read_msr(struct serial_state *st)
{
	uint8_t v = (uint8_t)(modem_inputs(st->mcr) | st->msr_delta);

	st->msr_delta = 0;
	return v;
}

static uint8_t read_locked(struct serial *s, uint64_t reg)
	LOCK_NEEDS(s->host.lock)
{
	struct serial_state *st = &s->st;
	bool dlab = st->lcr & LCR_DLAB;

	switch (reg) {
	case REG_DATA:
		return dlab ? st->dll : read_rbr_locked(s);
	case REG_IER:
		return dlab ? st->dlm : st->ier;
	case REG_IIR_FCR:
		return read_iir(st);
	case REG_LCR:
		return st->lcr;
	case REG_MCR:
		return st->mcr;
	case REG_LSR:
		return read_lsr_locked(s);
	case REG_MSR:
		return read_msr(st);
	default:
		return st->scr;
	}
}

static void write_thr_locked(struct serial *s, uint8_t byte)
	LOCK_NEEDS(s->host.lock)
{
	struct serial_state *st = &s->st;

	if (st->mcr & MCR_LOOP)
		receive(st, byte);
	else
		console_output(s->cfg.console, &byte, 1);
	st->thr_pending = true;
}

static void write_ier(struct serial_state *st, uint8_t v)
{
	v &= IER_MASK;
	if (v & ~st->ier & IER_THR) /* THR is empty already: tell so */
		st->thr_pending = true;
	st->ier = v;
}

static void write_fcr(struct serial_state *st, uint8_t v)
{
	bool toggled = (v ^ st->fcr) & FCR_ENABLE;

	if (toggled || ((v & FCR_ENABLE) && (v & FCR_CLEAR_RX)))
		st->rx_len = 0;
	st->fcr = v & FCR_ENABLE ? v & FCR_KEPT : 0;
}

static void write_mcr(struct serial_state *st, uint8_t v)
{
	uint8_t old = modem_inputs(st->mcr), now = modem_inputs(v);

	st->msr_delta |= ((old ^ now) >> 4) & MSR_DELTA_ANY;
	st->msr_delta |= ((old & ~now) >> 4) & MSR_DELTA_RI;
	st->mcr = v & MCR_MASK;
}

static void write_locked(struct serial *s, uint64_t reg, uint8_t v)
	LOCK_NEEDS(s->host.lock)
{
	struct serial_state *st = &s->st;
	bool dlab = st->lcr & LCR_DLAB;

	switch (reg) {
	case REG_DATA:
		if (dlab)
			st->dll = v;
		else
			write_thr_locked(s, v);
		break;
	case REG_IER:
		if (dlab)
			st->dlm = v;
		else
			write_ier(st, v);
		break;
	case REG_IIR_FCR:
		write_fcr(st, v);
		break;
	case REG_LCR:
		st->lcr = v;
		break;
	case REG_MCR:
		write_mcr(st, v);
		break;
	case REG_LSR:
	case REG_MSR:
		break; /* read-only */
	default:
		st->scr = v;
	}
}

static uint64_t serial_read(struct device *d, uint32_t range, uint64_t offset,
			    uint8_t size)
{
	struct serial *s = (struct serial *)d;
	uint8_t v;

	(void)range;
	if (size != 1 || offset >= SERIAL_PORTS)
		return UINT64_MAX;
	lock_take(&s->host.lock);
	v = read_locked(s, offset);
	drive_locked(s);
	lock_release(&s->host.lock);
	return v;
}

static void serial_write(struct device *d, uint32_t range, uint64_t offset,
			 uint8_t size, uint64_t value)
{
	struct serial *s = (struct serial *)d;

	(void)range;
	if (size != 1 || offset >= SERIAL_PORTS)
		return;
	lock_take(&s->host.lock);
	write_locked(s, offset, (uint8_t)value);
	if (offset != REG_DATA) /* may have made room or left loop-back */
		pull_locked(s);
	drive_locked(s);
	lock_release(&s->host.lock);
}

/* The console has input for us: loop thread. */
static void on_input(void *ctx)
{
	struct serial *s = ctx;

	lock_take(&s->host.lock);
	pull_locked(s);
	drive_locked(s);
	lock_release(&s->host.lock);
}

/* Power-on; a divisor of 0 would make early consoles divide by it. */
static void power_on(struct serial_state *st)
{
	*st = (struct serial_state){ .dll = 1 };
}

static void serial_reset(struct device *d)
{
	struct serial *s = (struct serial *)d;

	lock_take(&s->host.lock);
	power_on(&s->st);
	drive_locked(s);
	lock_release(&s->host.lock);
}

static bool serial_quiesce(struct device *d, void (*quiet)(void *ctx),
			   void *ctx)
{
	struct serial *s = (struct serial *)d;

	(void)quiet;
	(void)ctx;
	lock_take(&s->host.lock);
	s->host.is_quiet = true;
	lock_release(&s->host.lock);
	return true;
}

/* After a load the line is driven anew; input may have come meanwhile. */
static void serial_resume(struct device *d)
{
	struct serial *s = (struct serial *)d;

	lock_take(&s->host.lock);
	s->host.is_quiet = false;
	pull_locked(s);
	drive_locked(s);
	lock_release(&s->host.lock);
}

static void state_sync(struct serial_state *st, struct state_io *io)
{
	state_u8(io, &st->ier);
	state_u8(io, &st->fcr);
	state_u8(io, &st->lcr);
	state_u8(io, &st->mcr);
	state_u8(io, &st->scr);
	state_u8(io, &st->dll);
	state_u8(io, &st->dlm);
	state_u8(io, &st->line_errors);
	state_u8(io, &st->msr_delta);
	state_bool(io, &st->thr_pending);
	state_blob(io, st->rx, &st->rx_len, sizeof(st->rx));
}

static void serial_sync(struct device *d, struct state_io *io)
{
	struct serial *s = (struct serial *)d;
	struct serial_state st = s->st;

	state_sync(&st, io);
	if (!state_is_loading(io) || io->error)
		return;
	s->st = st;
	s->host.level_known = false;
}

static int serial_validate(const struct device *d, struct err *e)
{
	const struct serial_state *st = &((const struct serial *)d)->st;

	if (st->ier & ~IER_MASK)
		return err_set(e, -EINVAL, "serial: ier %#x", st->ier);
	if (st->fcr & ~FCR_KEPT || (st->fcr && !(st->fcr & FCR_ENABLE)))
		return err_set(e, -EINVAL, "serial: fcr %#x", st->fcr);
	if (st->mcr & ~MCR_MASK)
		return err_set(e, -EINVAL, "serial: mcr %#x", st->mcr);
	if (st->line_errors & ~LSR_OVERRUN)
		return err_set(e, -EINVAL, "serial: line errors %#x",
			       st->line_errors);
	if (st->msr_delta & ~MSR_DELTA)
		return err_set(e, -EINVAL, "serial: msr delta %#x",
			       st->msr_delta);
	if (st->rx_len > 1 && !(st->fcr & FCR_ENABLE))
		return err_set(e, -EINVAL, "serial: %u bytes without a FIFO",
			       st->rx_len);
	return 0;
}

static void serial_describe(struct device *d, struct buf *out)
{
	struct serial *s = (struct serial *)d;
	const struct serial_state *st = &s->st;

	lock_take(&s->host.lock);
	buf_printf(out, "ier=%#x\nfcr=%#x\nlcr=%#x\nmcr=%#x\n", st->ier,
		   st->fcr, st->lcr, st->mcr);
	buf_printf(out, "divisor=%u\nreceived=%u\ninterrupt=%d\n",
		   st->dlm << 8 | st->dll, st->rx_len, s->host.level);
	lock_release(&s->host.lock);
}

static const struct device_ops ops = {
	.name = "serial",
	.state_version = 1,
	.read = serial_read,
	.write = serial_write,
	.reset = serial_reset,
	.quiesce = serial_quiesce,
	.resume = serial_resume,
	.sync = serial_sync,
	.validate = serial_validate,
	.describe = serial_describe,
};

int serial_create(struct serial **out, const struct serial_config *cfg,
		  struct err *e)
{
	struct serial *s = calloc(1, sizeof(*s));

	if (!s)
		return err_sys(e, -ENOMEM, "serial");
	s->device = (struct device){ .ops = &ops, .instance = cfg->instance };
	s->cfg = *cfg;
	lock_init(&s->host.lock);
	s->host.level_known = true; /* a new line is low */
	power_on(&s->st);
	serial_take_console(s);
	*out = s;
	return 0;
}

void serial_destroy(struct serial *s)
{
	if (!s)
		return;
	console_set_device(s->cfg.console, NULL, NULL);
	lock_fini(&s->host.lock);
	free(s);
}

static void set_has_console(struct serial *s, bool has)
{
	lock_take(&s->host.lock);
	s->host.has_console = has;
	lock_release(&s->host.lock);
}

void serial_take_console(struct serial *s)
{
	set_has_console(s, true);
	console_set_device(s->cfg.console, on_input, s);
}

void serial_leave_console(struct serial *s)
{
	set_has_console(s, false);
}

struct device *serial_device(struct serial *s)
{
	return &s->device;
}
