/* SPDX-License-Identifier: Apache-2.0 */
/* Paragraphs, separated by empty lines. */
#include "control/cli/cli_about.h"

/* clang-format off */
const char cli_about_disk[] =
	"create FILE [SIZE] makes an empty image (qcow2, or -f raw); with -b "
	"and -F it shows a backing file until it is written. info says what "
	"an image is, --chain with its backing files; map where its data lies. "
	"check compares what an image refers to with what it counts: status 0 "
	"whole, 3 leaked space, 1 errors. compare tells whether two images "
	"show the same. convert FILE NEW copies what FILE shows into an image "
	"of its own. resize FILE [+|-]SIZE. commit writes what an image has into the "
	"one behind it and empties it; stream copies what those behind it have "
	"into it, so that it stands alone, or on the one that --base names; rebase gives it another one behind "
	"(-b, -F; none without) and shows what it showed. apply goes back to an "
	"internal snapshot that QEMU made (info lists them), which --snapshot "
	"shows without going back. bench measures the "
	"disk layer.\n\n"
	"A new image appears under its name when it is whole and on the disk "
	"(convert --no-sync: when it is whole, as qemu-img has it); "
	"one that exists is never replaced. An image that a VM or QEMU uses "
	"is not opened. A backing file is opened only beside the image that "
	"names it, or in --allow-backing DIR.";

const char cli_about_policy[] =
	"A VM's policy is the key snapshots of its configuration (amber create "
	"--snapshots every=@hourly,keep_last=24,...): when a snapshot is taken, "
	"which are kept, what all of them may take up. While the VM has a "
	"process, that carries it out.\n\n"
	"run does what is due for VMs without a process: of each a snapshot of "
	"its disks, then those that no rule keeps are removed, and what has "
	"expired. However many times were missed, it is done once. It is made "
	"for a timer: with --all, VMs that have no policy, or nothing due, are "
	"passed over in silence. With --dry-run nothing is done.\n\n"
	"show tells the policy, when the next snapshot is due, what came of the "
	"last, and what pruning would remove now.";
/* clang-format on */
