/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exit statuses of `amber` and `amber-vmm`. A guest that ends through the
 * debug-exit port chooses the status of a --once run itself: N = its byte,
 * 0..255, so guests that want to be told apart from amber use 3..119.
 */
#ifndef AMBER_CONTROL_EXIT_CODES_H
#define AMBER_CONTROL_EXIT_CODES_H

enum exit_code {
	EXIT_CODE_OK = 0,	  /* powered off, or --expect was seen */
	EXIT_CODE_FAILED = 1,	  /* amber could not do it; text on stderr */
	EXIT_CODE_USAGE = 2,	  /* wrong options, names or values */
	EXIT_CODE_UNSEEN = 120,	  /* the guest ended, --expect was not seen */
	EXIT_CODE_REBOOTED = 121, /* the guest rebooted, policy is exit */
	EXIT_CODE_PANICKED = 122, /* the guest reported a panic */
	EXIT_CODE_CRASHED = 123,  /* triple fault, KVM error...: report */
	EXIT_CODE_TIMEOUT = 124	  /* --timeout, or `amber wait` in vain */
};

#endif
