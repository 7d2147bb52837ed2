/* SPDX-License-Identifier: Apache-2.0 */
/*
 * triple: a page fault without an IDT, which becomes a triple fault.
 */
#include "guest-images/runtime/guest.h"

void guest_main(void)
{
	guest_ready();
	guest_triple_fault();
}
