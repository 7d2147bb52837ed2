/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes on the control socket, through the HTTP library, the dispatcher
 * and the handlers, over a VM without a machine. The first byte chooses the
 * VM's state and how the client behaves. Afterwards another client's status
 * must be answered at once.
 */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the shared helpers check is a crash here. */
#define ck_assert(x)             \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)
#define ck_assert_int_eq(a, b)	 ck_assert((a) == (b))
#define ck_assert_str_eq(a, b)	 ck_assert(strcmp(a, b) == 0)
#define ck_assert_ptr_nonnull(p) ck_assert((p) != NULL)
#define ck_assert_msg(x, ...)	 ck_assert(x)

#include "tests/unit/client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void steps(struct desk *d, int count)
{
	while (count--)
		loop_step(d->plane.loop, 0);
}

static void one_client(struct desk *d, uint8_t how, const uint8_t *data,
		       size_t size)
{
	size_t half = how & 0x10 ? size / 2 : size;
	struct client c;

	client_open(&c, d);
	client_push(&c, data, half);
	steps(d, 3);
	client_push(&c, data + half, size - half);
	if (how & 0x20)
		shutdown(c.fd, SHUT_WR);
	steps(d, 6);
	client_receive(&c);
	fake_vm_release(d->plane.control->vm);
	fake_vm_output(d->plane.control->vm, "output", 6);
	steps(d, 3);
	client_receive(&c);
	client_close(&c);
	steps(d, 6);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct desk d;
	static bool is_open;

	if (!size)
		return 0;
	if (!is_open) {
		signal(SIGPIPE, SIG_IGN);
		desk_open(&d);
		is_open = true;
	}
	plane_state(&d.plane, (enum vm_state)((data[0] & 15) % VM_STATE_COUNT));
	d.plane.control->vm->hold = data[0] & 0x40;
	one_client(&d, data[0], data + 1, size - 1);
	d.plane.control->vm->hold = false;
	if (data[0] & 0x80)
		ck_assert(desk_answers(&d, STATUS_REQUEST, "labels"));
	return 0;
}
