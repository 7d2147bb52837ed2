/* SPDX-License-Identifier: Apache-2.0 */
/* The absent TLS library; called at start-up only, by libmicrohttpd. */
#include "control/no_tls.h"

int amber_no_tls(void)
{
	return 0;
}
