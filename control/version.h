/* SPDX-License-Identifier: Apache-2.0 */
/* The version, in one place: for --version, GET /v1 and the man pages. */
#ifndef AMBER_CONTROL_VERSION_H
#define AMBER_CONTROL_VERSION_H

#define AMBER_VERSION	  "0.1.0"
#define AMBER_API_VERSION "v1"

#endif
