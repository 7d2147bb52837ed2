/* SPDX-License-Identifier: Apache-2.0 */
/* Paragraphs about commands that are too long for their rows. Constant. */
#ifndef AMBER_CONTROL_CLI_ABOUT_H
#define AMBER_CONTROL_CLI_ABOUT_H

extern const char cli_about_disk[], cli_about_policy[];

#endif
