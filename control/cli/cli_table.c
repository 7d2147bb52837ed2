/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command rows of `amber`. Constant data; any thread. Invariant: every
 * list of options ends in CLI_END, every command but hidden ones has a
 * summary, a usage, a paragraph and an example.
 */
#include <string.h>

#include "control/cli/cli.h"
#include "control/cli/cli_about.h"
#include "control/cli/cli_handlers.h"
#include "control/nearest.h"

#define MANY	 CLI_ALL, CLI_LABEL, CLI_JOBS, CLI_STOP_ON_ERROR
#define MANY_USE "NAME... | --all | --label KEY[=VALUE]..."
#define COUNT	 (sizeof(rows) / sizeof(rows[0]))

/* clang-format off */
static const struct cli_command rows[] = {
{
	.name = "run", .group = CLI_GROUP_MAKE,
	.summary = "Create a VM, start it and attach its console",
	.usage = "[KERNEL]",
	.about =
	"Makes a VM from KERNEL (a Linux bzImage, or an ELF64 kernel) and the "
	"options, starts it and attaches this terminal to its console; Ctrl-] "
	"detaches and leaves it running. Without --name it is called after "
	"the kernel: hello-1, hello-2...\n\n"
	"Without a terminal the console is copied to standard output, and "
	"SIGINT, SIGTERM or SIGHUP shut the guest down gracefully; a second "
	"one stops it. In the foreground a panic or crash ends the run, with "
	"the report on standard error; with --detach the VM is paused for "
	"inspection (see --on-panic, --on-crash).\n\n"
	"With --once it is a runner for scripts: nothing is attached, every "
	"ending of the guest ends the run, and the exit status says how. "
	"Without --name the VM is deleted afterwards.",
	.word = CLI_WORD_FILE, .max_args = 1, .config = true,
	.options = { CLI_CONFIG_FILE, CLI_DETACH, CLI_PAUSED, CLI_ONCE,
		     CLI_RUN_TIMEOUT, CLI_EXPECT, CLI_RM, CLI_JSON,
		     CLI_HELP },
	.examples = {
		"amber run build/guests/hello.elf",
		"amber run --name web --memory 512M --initrd initrd.img "
		"--append console=ttyS0 --detach vmlinuz",
		"amber run --once --timeout 30 --expect '^OK' kernel.elf" },
	.run = cli_run_command,
},
{
	.name = "create", .group = CLI_GROUP_MAKE,
	.summary = "Create a VM without starting it",
	.usage = "[KERNEL]",
	.about =
	"Makes the directory of a VM with its configuration and prints its "
	"name. `amber start` starts it.",
	.word = CLI_WORD_FILE, .max_args = 1, .config = true,
	.options = { CLI_CONFIG_FILE, CLI_JSON, CLI_HELP },
	.examples = { "amber create --name web --cpus 2 --memory 1G vmlinuz" },
	.run = cli_create_command,
},
{
	.name = "start", .group = CLI_GROUP_LIFE,
	.summary = "Start VMs that exist",
	.usage = MANY_USE,
	.about =
	"Starts each VM in the background and returns when its guest runs. A "
	"VM that runs already is left alone. `amber console` attaches to it. One "
	"that was suspended goes on where it was; with --cold that is dropped. "
	"With --from it goes on from a snapshot, and what its disks are now is "
	"lost (amber snapshot restore keeps it).\n\n"
	"With --peek the VM stays as it is, running or not: a copy of it starts "
	"from the snapshot (--from, else the current one), without a network, "
	"and is removed when it ends.",
	.role = "operator", .vms = CLI_VMS_MANY, .word = CLI_WORD_VM,
	.options = { CLI_PAUSED, CLI_COLD, CLI_FROM, CLI_PEEK, CLI_SET_KEY, MANY, CLI_REASON, CLI_JSON, CLI_HELP },
	.examples = { "amber start web", "amber start --all -j 4" },
	.run = cli_start_command,
},
{
	.name = "list", .alias = "ps", .group = CLI_GROUP_WATCH,
	.summary = "List VMs: state, CPUs, memory, uptime",
	.usage = "[NAME...]",
	.about =
	"One line per VM, running or not. A VM whose process doesn't answer "
	"is shown as unresponsive; it never holds up the list.",
	.role = "viewer", .vms = CLI_VMS_ANY, .word = CLI_WORD_VM,
	.options = { CLI_ALL, CLI_LABEL, CLI_STATE, CLI_QUIET, CLI_JSON,
		     CLI_HELP },
	.examples = { "amber list", "amber list -l tier=ci --state running",
		      "amber list --json" },
	.run = cli_list_command,
},
{
	.name = "info", .group = CLI_GROUP_WATCH,
	.summary = "Show everything about a VM",
	.usage = MANY_USE,
	.about =
	"State with its cause and actor, configuration, console, boot report "
	"and the last journal records. Works for stopped VMs as well, from "
	"their directory.",
	.role = "viewer", .vms = CLI_VMS_MANY, .word = CLI_WORD_VM,
	.options = { MANY, CLI_JSON, CLI_HELP },
	.examples = { "amber info web", "amber info --all --json" },
	.run = cli_info_command,
},
{
	.name = "config", .group = CLI_GROUP_WATCH,
	.summary = "Print a VM's configuration",
	.usage = "NAME",
	.about =
	"Prints config.json as it is: what `amber run --config` reads.",
	.vms = CLI_VMS_ONE, .word = CLI_WORD_VM,
	.options = { CLI_JSON, CLI_HELP },
	.examples = { "amber config web > web.json" },
	.run = cli_config_command,
},
{
	.name = "pause", .group = CLI_GROUP_LIFE,
	.summary = "Stop the vCPUs, keep everything in memory",
	.usage = MANY_USE,
	.about = "Returns when every vCPU is parked. `amber resume` goes on.",
	.role = "operator", .vms = CLI_VMS_MANY, .word = CLI_WORD_VM,
	.options = { CLI_EMERGENCY, MANY, CLI_REASON, CLI_JSON, CLI_HELP },
	.examples = { "amber pause web --reason 'backup'",
		      "amber pause -l tier=ci" },
	.run = cli_life_command,
},
{
	.name = "resume", .group = CLI_GROUP_LIFE,
	.summary = "Let paused VMs go on",
	.usage = MANY_USE,
	.about =
	"Goes on exactly where the VM was paused. In state io-error the very "
	"requests that the host failed are tried again; --verified says that "
	"you have looked at a disk whose flush failed.",
	.role = "operator", .vms = CLI_VMS_MANY, .word = CLI_WORD_VM,
	.options = { CLI_VERIFIED, MANY, CLI_REASON, CLI_JSON, CLI_HELP },
	.examples = { "amber resume web" },
	.run = cli_life_command,
},
{
	.name = "shutdown", .group = CLI_GROUP_LIFE,
	.summary = "Ask the guest to shut down, by a ladder",
	.usage = MANY_USE,
	.about =
	"Asks the agent in the guest, if there is one, else or then presses "
	"the ACPI power button; if the guest doesn't power off within the "
	"deadline, Ctrl-Alt-Del; with --force then stops it. The answer "
	"names the rung that worked.",
	.role = "operator", .vms = CLI_VMS_MANY, .word = CLI_WORD_VM,
	.options = { CLI_RUNG_TIMEOUT, CLI_FORCE_RUNG, MANY, CLI_REASON,
		     CLI_JSON, CLI_HELP },
	.examples = { "amber shutdown web --timeout 20 --force" },
	.run = cli_life_command,
},
{
	.name = "stop", .group = CLI_GROUP_LIFE,
	.summary = "Stop at once, without asking the guest",
	.usage = MANY_USE,
	.about =
	"Like pulling the plug. A VM that was stopped by a person is never "
	"restarted by a policy.",
	.role = "operator", .vms = CLI_VMS_MANY, .word = CLI_WORD_VM,
	.options = { MANY, CLI_REASON, CLI_JSON, CLI_HELP },
	.examples = { "amber stop web", "amber stop --all" },
	.run = cli_life_command,
},
{
	.name = "reboot", .group = CLI_GROUP_LIFE,
	.summary = "Ask the guest to shut down, then boot it afresh",
	.usage = MANY_USE,
	.about =
	"The ladder of `amber shutdown`, then a fresh boot in the same "
	"process: socket and console stay.",
	.role = "operator", .vms = CLI_VMS_MANY, .word = CLI_WORD_VM,
	.options = { CLI_RUNG_TIMEOUT, CLI_FORCE_RUNG, MANY, CLI_REASON,
		     CLI_JSON, CLI_HELP },
	.examples = { "amber reboot web" },
	.run = cli_life_command,
},
{
	.name = "reset", .group = CLI_GROUP_LIFE,
	.summary = "Reset at once, like the button",
	.usage = MANY_USE,
	.about =
	"Boots the guest afresh in place, without asking it: also out of "
	"state crashed.",
	.role = "operator", .vms = CLI_VMS_MANY, .word = CLI_WORD_VM,
	.options = { CLI_PAUSED, MANY, CLI_REASON, CLI_JSON, CLI_HELP },
	.examples = { "amber reset web" },
	.run = cli_life_command,
},
{
	.name = "powerbutton", .group = CLI_GROUP_LIFE,
	.summary = "Press the ACPI power button, nothing more",
	.usage = MANY_USE,
	.about = "The guest decides what it does about it.",
	.role = "operator", .vms = CLI_VMS_MANY, .word = CLI_WORD_VM,
	.options = { MANY, CLI_REASON, CLI_JSON, CLI_HELP },
	.examples = { "amber powerbutton web" },
	.run = cli_life_command,
},
{
	.name = "nmi", .group = CLI_GROUP_LIFE,
	.summary = "Send a non-maskable interrupt to every vCPU",
	.usage = MANY_USE,
	.about =
	"A Linux guest can be told to panic by it (kernel.unknown_nmi_panic), "
	"which shows where it hangs.",
	.role = "operator", .vms = CLI_VMS_MANY, .word = CLI_WORD_VM,
	.options = { MANY, CLI_REASON, CLI_JSON, CLI_HELP },
	.examples = { "amber nmi web" },
	.run = cli_life_command,
},
{
	.name = "suspend", .group = CLI_GROUP_LIFE,
	.summary = "Put a VM away on disk and free its memory",
	.usage = MANY_USE,
	.about =
	"Writes memory, devices and CPUs into the VM's directory and ends its "
	"process. `amber start` brings the VM back as it was: programs go on in "
	"the middle of what they did. Its disks must not be changed meanwhile.",
	.role = "operator", .vms = CLI_VMS_MANY, .word = CLI_WORD_VM,
	.options = { MANY, CLI_REASON, CLI_JSON, CLI_HELP },
	.examples = { "amber suspend web", "amber start web" },
	.run = cli_life_command,
},
{
	.name = "delete", .alias = "rm", .group = CLI_GROUP_MAKE,
	.summary = "Delete VMs and everything in their directories",
	.usage = MANY_USE,
	.about =
	"Removes the VM's directory under its lock. A VM that runs is "
	"refused, unless --force stops it first. There is no way back.",
	.role = "admin", .vms = CLI_VMS_MANY, .word = CLI_WORD_VM,
	.options = { CLI_FORCE, MANY, CLI_REASON, CLI_JSON, CLI_HELP },
	.examples = { "amber delete web", "amber delete --force -l tier=ci" },
	.run = cli_delete_command,
},
{
	.name = "console", .alias = "attach", .group = CLI_GROUP_CONSOLE,
	.summary = "Attach the terminal to a VM's console",
	.usage = "NAME",
	.about =
	"Shows what the console still holds and then both ways: keys go to "
	"the guest. Ctrl-] detaches. One terminal writes at a time, any "
	"number may watch with --read-only. Without a terminal, standard "
	"input is sent and output copied until the VM ends.",
	.role = "operator", .vms = CLI_VMS_ONE, .word = CLI_WORD_VM,
	.options = { CLI_READONLY, CLI_NO_HISTORY, CLI_HELP },
	.examples = { "amber console web", "amber console --read-only web" },
	.run = cli_console_command,
},
{
	.name = "snapshot", .group = CLI_GROUP_LIFE,
	.summary = "Take snapshots, and go back to them",
	.usage = "create|list|show|diff|verify|restore|rewind|pin|unpin|label|"
		 "prune|export|import|delete NAME [SNAPSHOT] "
		 "[KEY=VALUE|KEY-...|FILE]",
	.about =
	"create NAME [SNAPSHOT] keeps disks, memory and devices of one moment "
	"while the guest runs: it stands still for about a millisecond, its "
	"memory is written behind its back. --kind disk keeps the disks only, "
	"--kind memory all but them; --incremental only the memory that has "
	"changed since the current snapshot, on which it stands then. list NAME "
	"shows all (MEMORY: of the guest; SIZE: what the set takes up, layers of "
	"disks included), --tree which one "
	"came from which (* is where the VM is); show NAME SNAPSHOT one of "
	"them, diff NAME SNAPSHOT SNAPSHOT what two differ in. verify reads one, "
	"or all, with what it stands on, and holds it against its checksums; with "
	"--boot it then starts each as a VM of its own, without a network, which "
	"is thrown away: it has to show --expect on its console, to run --probe, or, "
	"with neither, to answer through its agent, if it has one, within --timeout "
	"(default: 60 s). What came of it stands in show.\n\n"
	"restore NAME SNAPSHOT goes back to it, by name or ID; what is there "
	"now is kept as a snapshot before, unless --no-safety. A VM without a "
	"process is started by it. --only brings a part back: disk (the VM "
	"boots from them), ram, or config (of a stopped VM). With --as NEW the VM "
	"stays as it is, running or not, and a new one goes on from there (with "
	"--only disk: boots), sharing layers and memory; --set KEY=VALUE gives "
	"it other options. rewind NAME goes back to the last one in "
	"place, at once and as often as you like: what happened since is "
	"lost. With --count N it waits for the guest's own end after each "
	"(--on-poweroff pause), prints how it ended and gives the status of the "
	"first run that did not end well.\n\n"
	"Disks of a snapshot stay layers beside their image (root.qcow2, "
	"root.ID.qcow2); raw images can't have layers.\n\n"
	"delete NAME SNAPSHOT takes it away; the VM's disks and memory stay as "
	"they are. What came from it has come from its parent then, and if the "
	"VM came from it so has the VM. --children deletes all that came from "
	"it as well, the current one too, and nothing when one of them is "
	"pinned and --force is missing. Layers that no disk and no other "
	"snapshot stands on go at once; each of the others is merged into "
	"what stands on it: in the background while the VM runs, by the "
	"command itself when it is stopped, at its next start with "
	"--no-merge.\n\n"
	"pin NAME SNAPSHOT protects it from being deleted, until unpin; label "
	"NAME SNAPSHOT KEY=VALUE... sets labels, KEY- removes one.\n\n"
	"prune NAME removes what none of the --keep rules keeps, and then, with "
	"--max-bytes, the oldest. The rules are restic's: each goes from the "
	"newest back; one that could keep more keeps the oldest of all as well. "
	"Pinned ones and the current one always stay, and what the memory of "
	"those that stay stands on. What was created with --expires goes when its "
	"time is over, with any rule or with --expired.\n\n"
	"export NAME SNAPSHOT [FILE] writes all of it into one tar archive, each "
	"disk as one image; import NAME [FILE] makes a snapshot of the same VM of "
	"it again. Without FILE, or for -, it goes through standard output and "
	"input.",
	.role = "operator", .word = CLI_WORD_VM,
	.min_args = 2, .max_args = 3 + 16,
	.options = { CLI_KIND, CLI_INCREMENTAL, CLI_QUIESCE, CLI_PURPOSE, CLI_SNAPSHOT_LABEL, CLI_PIN,
		     CLI_EXPIRES, CLI_MAX_PAUSE, CLI_TREE, CLI_SORT, CLI_PAUSED, CLI_NO_SAFETY, CLI_ONLY, CLI_FORCE_OLD, CLI_AS, CLI_SET_KEY, CLI_TRY, CLI_TRY_EXPECT, CLI_TRY_PROBE,
		     CLI_RUNS, CLI_WAIT_TIMEOUT,
		     CLI_CHILDREN, CLI_NO_MERGE,
		     CLI_KEEP_LAST, CLI_KEEP_HOURLY, CLI_KEEP_DAILY,
		     CLI_KEEP_WEEKLY, CLI_KEEP_MONTHLY, CLI_KEEP_YEARLY,
		     CLI_KEEP_WITHIN, CLI_MAX_BYTES, CLI_EXPIRED, CLI_DRY_RUN, CLI_IMPORT_NAME,
		     CLI_REASON, CLI_JSON, CLI_HELP },
	.examples = { "amber snapshot create web before-upgrade",
		      "amber snapshot list web --tree",
		      "amber snapshot restore web before-upgrade",
		      "amber snapshot prune web --keep-last 3 --keep-daily 7",
		      "amber snapshot delete web before-upgrade --children" },
	.run = cli_snapshot_command,
},
{
	.name = "policy", .group = CLI_GROUP_LIFE,
	.summary = "Show and carry out what happens to snapshots by itself",
	.usage = "show NAME | run NAME... | run --all | run --label KEY[=VALUE]...",
	.about = cli_about_policy,
	.word = CLI_WORD_VM, .min_args = 1, .max_args = 4096,
	.options = { CLI_DRY_RUN, MANY, CLI_JSON, CLI_HELP },
	.examples = { "amber policy show web", "amber policy run --all",
		      "amber policy run web --dry-run" },
	.run = cli_policy_command,
},
{
	.name = "agent", .group = CLI_GROUP_CONSOLE,
	.summary = "Ask the guest's agent, or run a command in the guest",
	.usage = "NAME [status|ping|info|osinfo|interfaces|fsfreeze|fsthaw|"
		 "set-time|exec -- COMMAND [ARGUMENT...]]",
	.about =
	"The agent is QEMU's (in Debian: qemu-guest-agent), inside the guest. "
	"status (when nothing is asked) says whether it is there; fsfreeze "
	"holds all writing in the guest until fsthaw; set-time gives it the "
	"host's clock.\n\n"
	"exec runs COMMAND there as the agent's user, root, without a shell "
	"and without input, passes on what it wrote and ends with its status "
	"(128 + N: signal N). What amber could not do is status 1, with a "
	"line on standard error. exec takes the role admin.",
	.role = "operator", .word = CLI_WORD_VM,
	.min_args = 1, .max_args = 130,
	.options = { CLI_AGENT_TIMEOUT, CLI_REASON, CLI_JSON, CLI_HELP },
	.examples = { "amber agent web ping",
		      "amber agent web interfaces --json",
		      "amber agent web exec -- sh -c 'df -h /'" },
	.run = cli_agent_command,
},
{
	.name = "balloon", .group = CLI_GROUP_LIFE,
	.summary = "Have a guest give memory back, or take it again",
	.usage = "NAME SIZE",
	.about =
	"Asks the guest to keep SIZE of its memory and to give up the rest, "
	"which goes back to the host; it comes back when SIZE grows. The "
	"guest does it in its own time: `amber stats` shows how far it is.",
	.role = "operator", .word = CLI_WORD_VM,
	.min_args = 2, .max_args = 2,
	.options = { CLI_REASON, CLI_JSON, CLI_HELP },
	.examples = { "amber balloon web 256M" },
	.run = cli_balloon_command,
},
{
	.name = "limit", .group = CLI_GROUP_LIFE,
	.summary = "Limit a disk or network card of a running VM",
	.usage = "NAME DEVICE [bps=SIZE] [ops=N]",
	.about =
	"Sets the limits of a disk (bytes and requests per second) or of a "
	"network card (bytes and frames per second, each way), at once; 0 "
	"takes a limit away. After a restart those of the configuration "
	"hold again.",
	.role = "operator", .word = CLI_WORD_VM,
	.min_args = 3, .max_args = 4,
	.options = { CLI_REASON, CLI_JSON, CLI_HELP },
	.examples = { "amber limit web disk0 bps=20M ops=500",
		      "amber limit web net0 bps=0" },
	.run = cli_limit_command,
},
{
	.name = "link", .group = CLI_GROUP_LIFE,
	.summary = "Plug the cable of a network card in or out",
	.usage = "NAME DEVICE up|down",
	.about = "The guest sees the link of the network card go up or down.",
	.role = "operator", .word = CLI_WORD_VM,
	.min_args = 3, .max_args = 3,
	.options = { CLI_REASON, CLI_JSON, CLI_HELP },
	.examples = { "amber link web net0 down" },
	.run = cli_link_command,
},
{
	.name = "log", .alias = "logs", .group = CLI_GROUP_CONSOLE,
	.summary = "Print what the console showed",
	.usage = "NAME",
	.about =
	"The console's output as logged, of stopped VMs too; --boot and "
	"--crash print those reports instead. With --follow it goes on until "
	"the VM ends.",
	.role = "viewer", .vms = CLI_VMS_ONE, .word = CLI_WORD_VM,
	.options = { CLI_FOLLOW, CLI_LINES, CLI_BOOT, CLI_CRASH, CLI_JSON,
		     CLI_HELP },
	.examples = { "amber log web", "amber log -f -n 20 web",
		      "amber log --crash web" },
	.run = cli_log_command,
},
{
	.name = "events", .group = CLI_GROUP_WATCH,
	.summary = "Follow what happens to a VM, as it happens",
	.usage = "NAME",
	.about =
	"One line per event until the VM ends or Ctrl-C. --since 0 begins "
	"with all that the VM's process still holds. With --json one JSON "
	"object per line.",
	.role = "viewer", .vms = CLI_VMS_ONE, .word = CLI_WORD_VM,
	.options = { CLI_SINCE, CLI_JSON, CLI_HELP },
	.examples = { "amber events web", "amber events --since 0 --json web" },
	.run = cli_events_command,
},
{
	.name = "journal", .group = CLI_GROUP_WATCH,
	.summary = "Print a VM's history: who did what, when and why",
	.usage = "NAME",
	.about =
	"Every transition and every command, refused ones too, with actor, "
	"cause, reason and duration; kept across restarts. With --json one "
	"array.",
	.vms = CLI_VMS_ONE, .word = CLI_WORD_VM,
	.options = { CLI_LINES, CLI_SINCE, CLI_JSON, CLI_HELP },
	.examples = { "amber journal web", "amber journal -n 10 --json web" },
	.run = cli_journal_command,
},
{
	.name = "stats", .group = CLI_GROUP_WATCH,
	.summary = "Print a VM's counters",
	.usage = MANY_USE,
	.about =
	"Exits by reason, CPU time, resident memory, console bytes, pauses.",
	.role = "viewer", .vms = CLI_VMS_MANY, .word = CLI_WORD_VM,
	.options = { MANY, CLI_JSON, CLI_HELP },
	.examples = { "amber stats web", "amber stats --all --json" },
	.run = cli_stats_command,
},
{
	.name = "top", .group = CLI_GROUP_WATCH,
	.summary = "Watch VMs live: CPU, memory, exits per second",
	.usage = "[NAME...]",
	.about =
	"Refreshes until q is pressed. When piped it prints a plain table per "
	"round; with --json one array per round.",
	.role = "viewer", .vms = CLI_VMS_ANY, .word = CLI_WORD_VM,
	.options = { CLI_LABEL, CLI_INTERVAL, CLI_ROUNDS, CLI_JSON,
		     CLI_HELP },
	.examples = { "amber top", "amber top -i 0.5 -n 10 web" },
	.run = cli_top_command,
},
{
	.name = "wait", .group = CLI_GROUP_WATCH,
	.summary = "Wait until VMs are ready, stopped, crashed",
	.usage = MANY_USE,
	.about =
	"Returns 0 when every VM has reached the goal, 124 when the time is "
	"up, and 1 when a VM can't reach it any more (it stopped or "
	"crashed).",
	.role = "viewer", .vms = CLI_VMS_MANY, .word = CLI_WORD_VM,
	.options = { CLI_FOR, CLI_WAIT_TIMEOUT, MANY, CLI_JSON, CLI_HELP },
	.examples = { "amber wait web --for ready --timeout 60",
		      "amber wait --all --for stopped" },
	.run = cli_wait_command,
},
{
	.name = "disk", .group = CLI_GROUP_OTHER,
	.summary = "Make, inspect, check and copy images of disks",
	.usage = "create|info|check|map|compare|convert|resize|commit|stream|"
		 "rebase|apply|bench FILE...",
	.about = cli_about_disk,
	.word = CLI_WORD_FILE, .min_args = 1, .max_args = 3,
	.options = { CLI_FORMAT, CLI_OUT_FORMAT, CLI_SET, CLI_BACKING,
		     CLI_BACKING_FORMAT, CLI_ALLOW_BACKING, CLI_CHAIN,
		     CLI_REPAIR, CLI_YES, CLI_SHRINK, CLI_UNSAFE, CLI_BASE,
		     CLI_COMPRESS, CLI_NO_SYNC, CLI_SNAPSHOT, CLI_DEPTH, CLI_BLOCK,
		     CLI_SECONDS, CLI_STEP, CLI_COUNT, CLI_WRITE, CLI_RANDOM, CLI_DIRECT, CLI_JSON,
		     CLI_HELP },
	.examples = { "amber disk create web.qcow2 20G",
		      "amber disk create -b base.qcow2 -F qcow2 clone.qcow2",
		      "amber disk check --repair web.qcow2",
		      "amber disk convert -O raw web.qcow2 web.raw" },
	.run = cli_disk_command,
},
{
	.name = "host", .group = CLI_GROUP_OTHER,
	.summary = "Say whether this machine can run VMs, and what is missing",
	.usage = "",
	.about =
	"Looks at KVM and its capabilities, memory, io_uring, userfaultfd, "
	"Landlock, cgroups and more: ok, degraded or missing each, what that "
	"means and what helps. Status 0 when a VM can run.",
	.options = { CLI_JSON, CLI_HELP },
	.examples = { "amber host", "amber host --json" },
	.run = cli_host_command,
},
{
	.name = "completion", .group = CLI_GROUP_OTHER,
	.summary = "Print the completion script of a shell",
	.usage = "bash|zsh|fish",
	.about = "Commands, options, VM names and values are completed.",
	.word = CLI_WORD_SHELL, .min_args = 1, .max_args = 1,
	.options = { CLI_HELP },
	.examples = { "source <(amber completion bash)",
		      "amber completion fish | source" },
	.run = cli_completion_command,
},
{
	.name = "version", .group = CLI_GROUP_OTHER,
	.summary = "Print the version",
	.usage = "", .about = "The program's version and the API's.",
	.options = { CLI_JSON, CLI_HELP },
	.examples = { "amber version" },
	.run = cli_version_command,
},
{
	.name = "help", .group = CLI_GROUP_OTHER,
	.summary = "Explain amber, or one command",
	.usage = "[COMMAND]",
	.about = "The same as `amber COMMAND --help`.",
	.word = CLI_WORD_COMMAND, .max_args = 1,
	.options = { CLI_HELP },
	.examples = { "amber help run" },
	.run = cli_help_command,
},
{
	.name = "gen", .group = CLI_GROUP_OTHER, .hidden = true,
	.summary = "Write the man pages or docs/commands.md from the tables",
	.usage = "man|docs DIR", .about = "For the build.",
	.word = CLI_WORD_FILE, .min_args = 2, .max_args = 2,
	.options = { CLI_HELP },
	.run = cli_gen_command,
},
};
/* clang-format on */

const struct cli_command *cli_commands(size_t *count)
{
	*count = COUNT;
	return rows;
}

const struct cli_command *cli_find(const char *name)
{
	size_t i;

	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
		name = "help";
	if (strcmp(name, "--version") == 0)
		name = "version";
	for (i = 0; i < COUNT; i++)
		if (strcmp(rows[i].name, name) == 0 ||
		    (rows[i].alias && strcmp(rows[i].alias, name) == 0))
			return &rows[i];
	return NULL;
}

const char *cli_nearest(const char *wrong)
{
	const char *names[2 * COUNT];
	size_t i, n = 0;

	for (i = 0; i < COUNT; i++) {
		if (rows[i].hidden)
			continue;
		names[n++] = rows[i].name;
		if (rows[i].alias)
			names[n++] = rows[i].alias;
	}
	return nearest(wrong, names, n);
}
