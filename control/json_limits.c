/* SPDX-License-Identifier: Apache-2.0 */
/* Limits of JSON as constants. */
#include "control/json_limits.h"

#include "control/limits.h"

const struct json_limits json_body_limits = {
	.bytes = LIMIT_BODY_BYTES,
	.depth = LIMIT_JSON_DEPTH,
	.values = LIMIT_JSON_BODY_VALUES,
};

const struct json_limits json_config_limits = {
	.bytes = LIMIT_JSON_CONFIG_BYTES,
	.depth = LIMIT_JSON_DEPTH,
	.values = LIMIT_JSON_CONFIG_VALUES,
};
