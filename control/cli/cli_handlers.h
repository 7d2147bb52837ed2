/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handlers that the command rows name; one file cli_*.c each or a few
 * related ones. Main thread. Each returns an exit status and has printed
 * its own errors.
 */
#ifndef AMBER_CONTROL_CLI_HANDLERS_H
#define AMBER_CONTROL_CLI_HANDLERS_H

struct cli;

int cli_run_command(struct cli *cli);	  /* cli_run.c */
int cli_create_command(struct cli *cli);  /* cli_run.c */
int cli_start_command(struct cli *cli);	  /* cli_start.c */
int cli_delete_command(struct cli *cli);  /* cli_delete.c */
int cli_life_command(struct cli *cli);	  /* cli_life.c: pause, stop... */
int cli_list_command(struct cli *cli);	  /* cli_list.c */
int cli_info_command(struct cli *cli);	  /* cli_info.c */
int cli_config_command(struct cli *cli);  /* cli_info.c */
int cli_stats_command(struct cli *cli);	  /* cli_stats.c */
int cli_top_command(struct cli *cli);	  /* cli_top.c */
int cli_wait_command(struct cli *cli);	  /* cli_wait.c */
int cli_console_command(struct cli *cli); /* cli_console.c */
int cli_agent_command(struct cli *cli);
int cli_balloon_command(struct cli *cli);
int cli_limit_command(struct cli *cli);
int cli_link_command(struct cli *cli);	     /* cli_agent.c */
int cli_log_command(struct cli *cli);	     /* cli_log.c */
int cli_events_command(struct cli *cli);     /* cli_events.c */
int cli_journal_command(struct cli *cli);    /* cli_events.c */
int cli_disk_command(struct cli *cli);	     /* cli_disk.c */
int cli_policy_command(struct cli *cli);     /* cli_policy.c */
int cli_snapshot_command(struct cli *cli);   /* cli_snapshot.c */
int cli_host_command(struct cli *cli);	     /* cli_host.c */
int cli_version_command(struct cli *cli);    /* cli_help.c */
int cli_help_command(struct cli *cli);	     /* cli_help.c */
int cli_completion_command(struct cli *cli); /* gen_completion.c */
int cli_gen_command(struct cli *cli);	     /* gen.c */

#endif
