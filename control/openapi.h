/* SPDX-License-Identifier: Apache-2.0 */
/* The API as an OpenAPI 3.0 document, from the tables. Any thread. */
#ifndef AMBER_CONTROL_OPENAPI_H
#define AMBER_CONTROL_OPENAPI_H

#include "base/buf.h"

/* Appends the JSON document. Returns out->error. */
int openapi_print(struct buf *out);

#endif
