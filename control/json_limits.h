/* SPDX-License-Identifier: Apache-2.0 */
/* How large JSON from outside may be (base/json_in.h). Constant. */
#ifndef AMBER_CONTROL_JSON_LIMITS_H
#define AMBER_CONTROL_JSON_LIMITS_H

#include "base/json_in.h"

/* For a request's body; for config.json and state.json. */
extern const struct json_limits json_body_limits;
extern const struct json_limits json_config_limits;

#endif
