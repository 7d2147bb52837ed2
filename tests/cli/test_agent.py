# SPDX-License-Identifier: Apache-2.0
"""`amber agent` against a VM's process that is played here: it holds the
lock and serves the socket with answers as told. Needs no KVM."""

import fcntl
import http.server
import json
import os
import socketserver
import threading

from harness import check, equal, guest, run


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        self.server.seen.append((self.command + " " + self.path,
                                 json.loads(body) if body else None))
        status, answer = self.server.answer
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = answer

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def get_request(self):
        connection, _ = super().get_request()
        return connection, ("amber", 0)


class Vm:
    """The VM "web" as far as the command line can tell."""

    def __init__(self, home):
        self.home = home
        home.amber("create", "--name", "web", guest("hello"))
        self.lock = open(home.path("web", "lock"), "a+", encoding="ascii")
        fcntl.lockf(self.lock, fcntl.LOCK_EX)
        os.makedirs(home.dir + "/run/web")
        self.server = Server(home.dir + "/run/web/api.sock", Handler)
        self.server.seen = []
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def ask(self, *words, answer=None, http_status=200, status=0):
        self.server.answer = (http_status, answer if answer is not None else {})
        return self.home.amber("agent", "web", *words, status=status)

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.lock.close()


def played(test):
    def run_it(home):
        vm = Vm(home)
        try:
            test(vm)
        finally:
            vm.close()
    run_it.__name__ = test.__name__
    return run_it


def executed(**members):
    return dict({"status": 0, "signal": 0, "stdout_cut": False, "stdout": "",
                 "stderr_cut": False, "stderr": "", "duration_us": 5}, **members)


@played
def a_command_s_output_and_status_are_passed_on(vm):
    result = vm.ask("exec", "-r", "why", "-t", "1.5", "--", "ls", "-l", "a b",
                    answer=executed(status=7, stdout="out\n", stderr="err\n"),
                    status=7)
    equal((result.out, result.err), ("out\n", "err\n"))
    equal(vm.server.seen, [("POST /v1/vm/agent/exec",
                            {"command": ["ls", "-l", "a b"], "reason": "why",
                             "timeout_ms": 1500})])


@played
def bytes_and_cut_output_are_passed_on(vm):
    answer = executed(stdout_cut=True)
    del answer["stdout"]
    answer["stdout_base64"] = "AAEC/w=="
    result = vm.ask("exec", "--", "x", answer=answer)
    equal(result.out, "\0\1\2\ufffd")
    equal(result.err, "amber: web: standard output was cut by the guest's agent\n")


@played
def a_status_is_never_lost(vm):
    for members, status in (({"signal": 9}, 137), ({"status": 255}, 255),
                            ({"status": 256}, 1), ({"status": -1}, 255)):
        vm.ask("exec", "--", "x", answer=executed(**members), status=status)
        vm.ask("exec", "--json", "--", "x", answer=executed(**members), status=status)


@played
def refusals_are_one_line_with_their_status(vm):
    for code, http, status in (("no-agent", 409, 1), ("agent-error", 502, 1),
                               ("agent-timeout", 504, 124), ("busy", 503, 1)):
        for words in (["ping"], ["exec", "--", "x"], []):
            result = vm.ask(*words, http_status=http, status=status,
                            answer={"code": code, "detail": "because \033[31m"})
            equal((result.out, result.err), ("", "amber: web: because ?[31m\n"))


@played
def every_answer_is_shown_for_people_and_as_json(vm):
    rows = (
        ([], {"connected": True, "in_sync": True, "version": "7.2.22",
              "last_seen": "2026-11-25T21:30:02.118Z", "rtt_us": 412, "waiting": 0},
         ["web", "  connected      yes", "  answers        yes",
          "  version        7.2.22", "  last seen      2026-11-25T21:30:02.118Z",
          "  round trip     412 us", "  calls waiting  0"]),
        (["status"], {"connected": False, "in_sync": False, "version": None,
                      "last_seen": None, "rtt_us": None, "waiting": 0},
         ["web", "  connected      no", "  answers        no", "  calls waiting  0"]),
        (["ping"], {"rtt_us": 1234}, ["web: the guest's agent answered in 1.2 ms"]),
        (["info"], {"info": {"version": "7.2\033", "supported_commands": [
            {"name": "guest-exec", "enabled": True},
            {"name": "guest-x", "enabled": False}]}},
         ["web", "  version        7.2?", "  commands       guest-exec",
          "                 guest-x (forbidden)"]),
        (["osinfo"], {"osinfo": {"pretty-name": "Debian 12", "kernel-release": "6.1"}},
         ["web", "  system         Debian 12", "  kernel         6.1"]),
        (["interfaces"], {"interfaces": [
            {"name": "lo", "ip-addresses": [
                {"ip-address": "127.0.0.1", "prefix": 8},
                {"ip-address": "::1", "prefix": 128}]},
            {"name": "eth0", "hardware-address": "52:54:00:12:34:56",
             "statistics": {"rx-bytes": 2048, "tx-bytes": 10}}]},
         ["INTERFACE  ADDRESS      MAC                RECEIVED  SENT",
          "lo         127.0.0.1/8  -                         -     -",
          "lo         ::1/128      -                         -     -",
          "eth0       -            52:54:00:12:34:56     2 KiB  10 B"]),
        (["fsfreeze"], {"filesystems": 2}, ["web: 2 file systems frozen"]),
        (["fsthaw"], {"filesystems": 1}, ["web: 1 file system thawed"]),
        (["set-time"], {}, ["web: the guest's clock is the host's"]))
    for words, answer, lines in rows:
        equal(vm.ask(*words, answer=answer).lines(), lines, words)
        equal(vm.ask(*words, "--json", answer=answer).json(), answer)
    equal({line for line, _ in vm.server.seen},
          {"GET /v1/vm/agent"} | {"POST /v1/vm/agent/" + words[0]
                                  for words, _, _ in rows[2:]})


@played
def an_answer_of_the_wrong_shape_is_survived(vm):
    for words in ([], ["ping"], ["info"], ["osinfo"], ["interfaces"], ["fsfreeze"]):
        for value in (None, 1, "x", [1], [None], {"supported_commands": 7}):
            vm.ask(*words, answer={word: value for word in (
                "info", "osinfo", "interfaces", "filesystems", "rtt_us")})
    check("no JSON object" in vm.ask(answer=[], status=1).err)
    vm.ask("exec", "--", "x", answer={}, status=1)


def wrong_words_are_refused_before_anything_is_asked(home):
    for line, wanted in ((["pin"], "did you mean ping?"), (["dance"], "amber help agent"),
                         (["exec"], "which command?"), (["ping", "x"], "too much"),
                         (["ping", "-t", "0"], "--timeout")):
        result = home.amber("agent", "web", *line, status=2)
        check(wanted in result.err, result)
        equal((result.out, result.err.count("\n")), ("", 1), result)
    check("no such VM" in home.amber("agent", "web", "ping", status=1).err)
    home.amber("create", "--name", "web", guest("hello"))
    check("is not running" in home.amber("agent", "web", "ping", status=1).err)


if __name__ == "__main__":
    run([a_command_s_output_and_status_are_passed_on,
         bytes_and_cut_output_are_passed_on,
         a_status_is_never_lost,
         refusals_are_one_line_with_their_status,
         every_answer_is_shown_for_people_and_as_json,
         an_answer_of_the_wrong_shape_is_survived,
         wrong_words_are_refused_before_anything_is_asked], needs_kvm=False)
