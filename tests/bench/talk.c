/* SPDX-License-Identifier: Apache-2.0 */
/*
 * talk ROUNDS KIND:SOCKET:WORDS...: asks control sockets in turn, BURST times
 * each, and prints a line for each question: INDEX NS. KIND is http (WORDS:
 * "METHOD /target") or qmp (WORDS: a command's name). Each argument has a
 * connection, which is kept. Two WORDS with a comma between ("POST
 * /v1/vm/pause,POST /v1/vm/resume") are asked one after the other: lines
 * INDEX.0 and INDEX.1.
 *
 * talk flood SECONDS CONNECTIONS SOCKET: GET /v1/vm on each connection, one
 * question in flight each; prints the answers per second. One thread.
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define PEERS_MAX 8
#define FLOOD_MAX 64
#define BURST	  20
#define STATUS	  "GET /v1/vm HTTP/1.1\r\nHost: amber\r\n\r\n"

struct peer {
	bool qmp;
	int fd;
	char *words[2];
	int count;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static _Noreturn void fail(const char *what, const char *text)
{
	fprintf(stderr, "talk: %s: %s\n", what, text);
	exit(1);
}

static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd < 0 ||
	    connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		fail(path, strerror(errno));
	return fd;
}

static void send_all(int fd, const char *text)
{
	size_t len = strlen(text);

	if (write(fd, text, len) != (ssize_t)len)
		fail("write", strerror(errno));
}

/* Is there a whole HTTP answer in text? It must be a 2xx. */
static bool http_is_whole(const char *text, size_t len)
{
	const char *body = strstr(text, "\r\n\r\n");
	const char *length = strcasestr(text, "content-length:");

	if (!body || !length)
		return false;
	if (strncmp(text, "HTTP/1.1 2", 10) != 0)
		fail("answer", text);
	return (size_t)(body + 4 - text) + strtoul(length + 15, NULL, 10) <=
	       len;
}

/* Events come in between; the answer is the line with "return". */
static bool qmp_is_whole(const char *text, size_t len)
{
	const char *answer = strstr(text, "\"return\"");

	if (strstr(text, "\"error\""))
		fail("answer", text);
	return len && answer && text[len - 1] == '\n';
}

static void await_answer(const struct peer *p)
{
	static char text[65536];
	size_t len = 0;
	ssize_t n;

	do {
		n = read(p->fd, text + len, sizeof(text) - 1 - len);
		if (n <= 0)
			fail("read", n ? strerror(errno) : "closed");
		len += (size_t)n;
		text[len] = 0;
	} while (p->qmp ? !qmp_is_whole(text, len) : !http_is_whole(text, len));
}

static void ask(const struct peer *p, const char *words)
{
	char text[512];

	if (p->qmp)
		snprintf(text, sizeof(text), "{\"execute\":\"%s\"}\n", words);
	else
		snprintf(text, sizeof(text),
			 "%s HTTP/1.1\r\nHost: amber\r\n"
			 "Content-Length: 0\r\n\r\n",
			 words);
	send_all(p->fd, text);
	await_answer(p);
}

static void open_peer(struct peer *p, char *argument)
{
	char *socket = strchr(argument, ':');
	char *words = socket ? strchr(socket + 1, ':') : NULL;
	char *second;

	if (!words)
		fail(argument, "KIND:SOCKET:WORDS is wanted");
	*socket++ = *words++ = 0;
	p->qmp = strcmp(argument, "qmp") == 0;
	p->words[0] = words;
	p->count = 1;
	second = strchr(words, ',');
	if (second) {
		*second = 0;
		p->words[p->count++] = second + 1;
	}
	p->fd = connect_to(socket);
	if (!p->qmp)
		return;
	ask(p, "qmp_capabilities");
}

static void time_one(const struct peer *peers, int i, int k)
{
	uint64_t began = now_ns();

	ask(&peers[i], peers[i].words[k]);
	printf("%d.%d %llu\n", i, k, (unsigned long long)(now_ns() - began));
}

static int talk(long rounds, int argc, char **argv)
{
	static struct peer peers[PEERS_MAX];
	long turn;
	int i, k, n;

	if (argc > PEERS_MAX)
		fail("arguments", "too many");
	for (i = 0; i < argc; i++)
		open_peer(&peers[i], argv[i]);
	for (turn = 0; turn < rounds * argc; turn++)
		for (n = 0; n < BURST; n++)
			for (k = 0; k < peers[turn % argc].count; k++)
				time_one(peers, (int)(turn % argc), k);
	return 0;
}

static int flood(double seconds, int connections, const char *path)
{
	static struct peer peers[FLOOD_MAX];
	static struct pollfd polls[FLOOD_MAX];
	uint64_t began = now_ns(), answers = 0;
	uint64_t due = began + (uint64_t)(seconds * 1e9);
	int i;

	if (connections < 1 || connections > FLOOD_MAX)
		fail("connections", "1 to 64");
	for (i = 0; i < connections; i++) {
		peers[i].fd = connect_to(path);
		polls[i] = (struct pollfd){ peers[i].fd, POLLIN, 0 };
		send_all(peers[i].fd, STATUS);
	}
	while (now_ns() < due) {
		if (poll(polls, (nfds_t)connections, 1000) <= 0)
			fail("flood", "no answer in a second");
		for (i = 0; i < connections; i++) {
			if (!polls[i].revents)
				continue;
			await_answer(&peers[i]);
			answers++;
			send_all(peers[i].fd, STATUS);
		}
	}
	printf("%.0f\n", (double)answers * 1e9 / (double)(now_ns() - began));
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 5 && strcmp(argv[1], "flood") == 0)
		return flood(strtod(argv[2], NULL), atoi(argv[3]), argv[4]);
	if (argc >= 3 && atol(argv[1]) > 0)
		return talk(atol(argv[1]), argc - 2, argv + 2);
	fprintf(stderr, "usage: talk ROUNDS KIND:SOCKET:WORDS...\n"
			"       talk flood SECONDS CONNECTIONS SOCKET\n");
	return 2;
}
