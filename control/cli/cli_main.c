/* SPDX-License-Identifier: Apache-2.0 */
/* Program `amber`: the command line. */
#include "control/cli/cli.h"
#include "control/cli/cli_out.h"

int main(int argc, char **argv)
{
	cli_out_init();
	return cli_run(argc, argv);
}
