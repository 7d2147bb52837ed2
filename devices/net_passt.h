/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starts passt for a network card and keeps it alive: user-mode networking
 * without privileges. When it ends, the card's link goes down, it is started
 * again after a delay that grows, and the link comes back.
 */
#ifndef AMBER_DEVICES_NET_PASST_H
#define AMBER_DEVICES_NET_PASST_H

#include "base/err.h"
#include "base/loop.h"
#include "devices/vnet.h"

struct net_passt;

/*
 * Starts passt and gives the backend to it. loop: the card's, borrowed.
 * Errors: -ENOENT (not installed: what to do), -EAGAIN...
 */
int net_passt_create(struct net_passt **out, struct loop *loop,
		     struct net_backend **backend, struct err *e);
/* The card whose backend it renews; before the loop's thread runs. */
void net_passt_serve(struct net_passt *p, struct vnet *n);
/* After the loop's thread has ended; ends passt. NULL is fine. */
void net_passt_destroy(struct net_passt *p);

#endif
