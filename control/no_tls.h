/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands in for a TLS library: libmicrohttpd.a refers to one although amber
 * never serves TLS (the socket is local). The Makefile points every symbol
 * of it here, so that no TLS library is linked.
 */
#ifndef AMBER_CONTROL_NO_TLS_H
#define AMBER_CONTROL_NO_TLS_H

/* Does nothing and says that it worked: the library's start-up calls it. */
int amber_no_tls(void);

#endif
