/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pvh: hello by the other entry, 32-bit with paging off, as its note asks.
 */
#include "guest-images/guests/hello.c"

GUEST_PVH;
