/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VM's directory, lock and socket for the command line. One thread at a
 * time per struct. Invariant: without a lock holder no request is sent.
 */
#include "control/cli/cli_vm.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "control/config_value.h"
#include "control/nearest.h"

#define SETTLE_MS 3000

static int no_such_vm(const struct home *h, const char *name, struct err *e)
{
	struct home_names names = { 0 };
	const char **list = NULL;
	const char *near = NULL;
	size_t i;

	if (home_list(h, &names, NULL) == 0)
		list = calloc(names.count + 1, sizeof(*list));
	for (i = 0; list && i < names.count; i++)
		list[i] = names.name[i];
	if (list)
		near = nearest(name, list, names.count);
	if (near)
		err_set(e, -ENOENT, "no such VM (did you mean %s?)", near);
	else
		err_set(e, -ENOENT, "no such VM (see: amber list)");
	free(list);
	home_names_fini(&names);
	return -ENOENT;
}

void cli_vm_look(struct cli_vm *vm)
{
	pid_t pid = 0;

	vm->alive = vmdir_locked(vm->dir, &pid) > 0;
	vm->pid = vm->alive ? pid : 0;
}

int cli_vm_open(struct cli_vm *vm, const struct home *h, const char *name,
		struct err *e)
{
	int r;

	*vm = (struct cli_vm){ .dir = -1 };
	client_reply_init(&vm->reply);
	r = config_name_check(name, e);
	if (r < 0)
		return r;
	memcpy(vm->name, name, strlen(name) + 1);
	r = home_open_vm(h, name, e);
	if (r == -ENOENT)
		return no_such_vm(h, name, e);
	if (r < 0)
		return r;
	vm->dir = r;
	cli_vm_look(vm);
	return home_socket_path(h, name, vm->socket, e);
}

void cli_vm_close(struct cli_vm *vm)
{
	client_close(vm->client);
	client_reply_fini(&vm->reply);
	if (vm->dir >= 0)
		close(vm->dir);
	vm->dir = -1;
	vm->client = NULL;
}

int cli_vm_not_running(const struct cli_vm *vm, struct err *e)
{
	return err_set(e, -ESRCH, "is not running (amber start %s)", vm->name);
}

int cli_vm_explain(struct cli_vm *vm, const struct client_problem *p, int r,
		   struct err *e)
{
	char what[ERR_TEXT_BYTES];

	if (r == -ENOENT || r == -ECONNREFUSED) {
		cli_vm_look(vm);
		if (!vm->alive)
			return cli_vm_not_running(vm, e);
		return err_set(e, r,
			       "its process (pid %d) has no socket at %s: it "
			       "is starting, ending, or uses another AMBER_RUN",
			       (int)vm->pid, vm->socket);
	}
	if (!*p->help)
		return r;
	snprintf(what, sizeof(what), "%s", e->text);
	if (strcmp(p->help, "wait") == 0)
		return err_set(e, r, "%s (wait until that is over)", what);
	return err_set(e, r, "%s (amber %s %s)", what, p->help, vm->name);
}

int cli_vm_request(struct cli_vm *vm, const char *method, const char *target,
		   const char *body, unsigned int timeout_ms, struct err *e)
{
	int r;

	if (!vm->alive)
		return cli_vm_not_running(vm, e);
	if (!vm->client) {
		r = client_open(&vm->client, vm->socket, e);
		if (r)
			return r;
	}
	r = client_request(vm->client, method, target, body, timeout_ms,
			   &vm->reply, e);
	return r ? cli_vm_explain(vm, &vm->reply.problem, r, e) : 0;
}

int cli_vm_ask(struct cli_vm *vm, const char *method, const char *target,
	       const char *body, unsigned int timeout_ms, json_t **out,
	       struct err *e)
{
	int r = cli_vm_request(vm, method, target, body, timeout_ms, e);
	json_t *json;

	if (r)
		return r;
	json = json_loadb((const char *)vm->reply.body.data, vm->reply.body.len,
			  0, NULL);
	if (!json_is_object(json)) {
		json_decref(json);
		return err_set(e, -EBADMSG, "%s: the answer is no JSON object",
			       target);
	}
	*out = json;
	return 0;
}

int cli_vm_get(struct cli_vm *vm, const char *target, unsigned int timeout_ms,
	       json_t **out, struct err *e)
{
	return cli_vm_ask(vm, "GET", target, NULL, timeout_ms, out, e);
}

/*
 * A descriptor of the process that holds the lock, or a negative errno. The
 * pid may have been another's before it was opened: the lock is looked at
 * again afterwards.
 */
static int open_holder(struct cli_vm *vm)
{
	pid_t pid;
	int fd;

	cli_vm_look(vm);
	if (!vm->alive || vm->pid <= 0)
		return -ESRCH;
	pid = vm->pid;
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0)
		return -errno;
	cli_vm_look(vm);
	if (vm->alive && vm->pid == pid)
		return fd;
	close(fd);
	return -ESRCH;
}

int cli_vm_signal(struct cli_vm *vm, int number)
{
	int fd = open_holder(vm), r = 0;

	if (fd < 0)
		return fd;
	if (syscall(SYS_pidfd_send_signal, fd, number, NULL, 0) < 0)
		r = -errno;
	close(fd);
	return r;
}

int cli_vm_await_end(struct cli_vm *vm, int timeout_ms)
{
	struct pollfd p = { .events = POLLIN };

	p.fd = open_holder(vm);
	if (p.fd >= 0) {
		poll(&p, 1, timeout_ms);
		close(p.fd);
		cli_vm_look(vm);
	}
	return vm->alive ? -ETIMEDOUT : 0;
}

void cli_vm_settle(struct cli_vm *vm)
{
	int r = cli_vm_request(vm, "GET", "/v1/vm", NULL, SETTLE_MS, NULL);

	if (r && r != -ETIMEDOUT)
		cli_vm_await_end(vm, SETTLE_MS);
}

int cli_vm_record(const struct cli_vm *vm, struct record *r, struct err *e)
{
	return vm->alive ? record_load(r, vm->dir, e)
			 : record_load_offline(r, vm->dir, e);
}

int cli_vm_last_event(struct cli_vm *vm, unsigned int timeout_ms,
		      uint64_t *last, struct err *e)
{
	json_t *journal;
	int r = cli_vm_get(vm, "/v1/journal?limit=1", timeout_ms, &journal, e);

	if (r)
		return r;
	*last = (uint64_t)json_integer_value(json_object_get(journal, "last"));
	json_decref(journal);
	return 0;
}
