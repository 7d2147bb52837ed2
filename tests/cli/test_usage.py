# SPDX-License-Identifier: Apache-2.0
"""What a clumsy user meets: help, wrong words, documents. Needs no KVM."""

import os
import shutil
import subprocess

from harness import AMBER, ROOT, check, equal, guest, run


def commands(home):
    text = home.amber("help").out
    return [line.split()[0] for line in text.splitlines()
            if line.startswith("  ") and not line.startswith("  amber")]


def every_command_explains_itself(home):
    names = commands(home)
    check(len(names) >= 24, names)
    for name in names:
        page = home.amber(name, "--help").out
        check(page.startswith(home.amber("help", name).out), name)
        for part in ("Usage: amber " + name, "Options:", "--help"):
            check(part in page, f"{name}: no {part}")


def without_a_command_the_overview_is_an_error(home):
    result = home.amber(status=2)
    equal(result.out, "")
    check("Usage: amber COMMAND" in result.err)


def wrong_words_are_one_line_with_the_nearest_right_one(home):
    for line, wanted in (
            (["pase", "x"], "did you mean pause?"),
            (["list", "--jsn"], "did you mean --json?"),
            (["run", "--memroy", "1G", "k"], "did you mean --memory?"),
            (["help", "strat"], "did you mean start?"),
            (["pause"], "which VM?"),
            (["run", "--memory", "16E", "k"], "16E"),
            (["run", "--memory", "0", "k"], "0 is not in 16M"),
            (["run", "--memory", "900G", "k"], "more than this host has"),
            (["run", "--cpus", "0", "k"], "0 is not in 1..254"),
            (["run", "--cpus", "1000000", "k"], "1000000 is not in 1..254"),
            (["run", "--cpus", "2", "--cpus", "3", "k"], "given twice"),
            (["run", "--name", "a/b", "k"], "a/b"),
            (["run", "--name", "", "k"], "--name"),
            (["run", "--expect", "(", "--once", "k"], "--expect"),
            (["run", "--once", "--detach", "k"], "contradict"),
            (["run", "k", "extra"], "extra"),
            (["run", "--on-panic", "explode", "k"], "explode"),
            (["run", "--label", "=x", "k"], "label"),
            (["create"], "no kernel"),
            (["wait", "--for", "rain", "x"], "rain"),
            (["list", "--state", "bored"], "bored"),
            (["top", "--interval", "soon"], "soon"),
            (["stats", "--jobs", "0", "--all"], "jobs"),
            (["config", "a", "b"], "b"),
            (["completion", "tcsh"], "tcsh")):
        result = home.amber(*line, status=2)
        equal(result.out, "", f"{line}: standard output")
        check(wanted in result.err, f"{line}: no {wanted!r} in {result.err!r}")
        equal(result.err.count("\n"), 1, f"{line}: lines in {result.err!r}")
    check(not os.path.exists(home.dir + "/home"), "something was left behind")


def what_is_not_there_is_said_with_what_to_do(home):
    for line, wanted in (
            (["pause", "nobody"], "no such VM (see: amber list)"),
            (["start", "nobody"], "no such VM"),
            (["info", "nobody"], "no such VM"),
            (["log", "nobody"], "no such VM"),
            (["delete", "nobody"], "no such VM"),
            (["console", "nobody"], "no such VM"),
            (["run", "/no/such/kernel"], "No such file or directory")):
        result = home.amber(*line, status=None)
        check(result.status in (1, 2), result)
        check(wanted in result.err, f"{line}: {result.err!r}")
        equal(result.err.count("\n"), 1, f"{line}: {result.err!r}")


def a_vm_is_created_listed_and_deleted_without_running(home):
    home.amber("create", "--name", "web", "--label", "tier=ci", "--memory", "64M",
               guest("hello"))
    row = home.amber("list", "--json").json()[0]
    equal((row["name"], row["state"], row["memory_bytes"], row["labels"]),
          ("web", "defined", 64 << 20, {"tier": "ci"}))
    equal(home.amber("list", "-q", "-l", "tier=ci").out, "web\n")
    equal(home.amber("list", "-q", "-l", "tier=prod").out, "")
    check("exists" in home.amber("create", "--name", "web", guest("hello"),
                                 status=1).err)
    home.amber("delete", "web")
    equal(os.listdir(home.path()), [])


def a_configuration_is_printed_back_as_it_is_read(home):
    home.amber("create", "--name", "a", "--cpus", "2", "--append", "x \"y\" \\",
               "--label", "k=v", "--on-panic", "restart", guest("hello"))
    text = home.amber("config", "a").out
    with open(home.dir + "/a.json", "w", encoding="utf-8") as f:
        f.write(text.replace('"name": "a"', '"name": "b"'))
    home.amber("create", "--config", home.dir + "/a.json")
    equal(home.amber("config", "b").out, text.replace('"name": "a"', '"name": "b"'))


def a_configuration_with_an_unknown_key_is_refused(home):
    for text, wanted in (('{"kernle": "k"}', "kernle"), ("{", "config"),
                         ('{"cpus": "two"}', "cpus"), ("[" * 100000, "config")):
        path = home.dir + "/config.json"
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        result = home.amber("create", "--config", path, guest("hello"), status=2)
        check(wanted in result.err, f"{text[:20]}: {result.err!r}")


def host_says_whether_a_vm_can_run(home):
    result = home.amber("host", "--json", status=None)
    report = result.json()
    equal(result.status, 0 if report["usable"] else 1)
    names = {row["name"] for row in report["checks"]}
    for name in ("/dev/kvm", "memory", "io_uring", "userfaultfd", "Landlock",
                 "cgroups"):
        check(name in names, f"no {name} in {names}")
    for row in report["checks"]:
        check(row["status"] in ("ok", "degraded", "missing"), row)
        check(row["status"] == "ok" or row["text"], f"no consequence: {row}")
    check("CHECK" in home.amber("host", status=None).out)


def plain_output_has_no_escapes_and_no_trailing_blanks(home):
    home.amber("create", "--name", "web", guest("hello"))
    for line in (["list"], ["info", "web"], ["host"], ["help"], ["top", "-n", "1"]):
        out = home.amber(*line, status=None).out
        check("\033" not in out, f"{line}: escapes")
        for row in out.splitlines():
            equal(row, row.rstrip(), f"{line}: trailing blanks")


def documents_are_what_the_tables_say(home):
    os.mkdir(home.dir + "/docs")
    home.amber("gen", "docs", home.dir + "/docs")
    with open(home.dir + "/docs/commands.md", encoding="utf-8") as f:
        made = f.read()
    with open(ROOT + "/docs/commands.md", encoding="utf-8") as f:
        check(f.read() == made, "docs/commands.md is old: run make docs")


def man_pages_are_without_complaint(home):
    os.mkdir(home.dir + "/man")
    home.amber("gen", "man", home.dir + "/man")
    pages = sorted(os.listdir(home.dir + "/man"))
    equal(len(pages), len(commands(home)) + 2)
    if not shutil.which("groff"):
        return
    for page in pages:
        done = subprocess.run(["groff", "-man", "-ww", "-z", page], text=True,
                              cwd=home.dir + "/man", capture_output=True, timeout=30)
        equal((done.returncode, done.stderr), (0, ""), page)


def completion_scripts_parse(home):
    for shell in ("bash", "zsh", "fish"):
        script = home.amber("completion", shell).out
        check("--memory" in script or "-l memory" in script, shell)
        if shutil.which(shell):
            done = subprocess.run([shell, "-n"], input=script, text=True,
                                  capture_output=True, timeout=30)
            equal((done.returncode, done.stderr), (0, ""), shell)


def bash_completes_commands_names_and_values(home):
    home.amber("create", "--name", "web", guest("hello"))
    script = home.amber("completion", "bash").out
    env = dict(home.env, PATH=os.path.dirname(AMBER) + ":" + os.environ["PATH"])
    for words, wanted in ((["amber", "pau"], "pause"), (["amber", "info", "w"], "web"),
                          (["amber", "run", "--me"], "--memory"),
                          (["amber", "run", "--on-panic", "re"], "restart"),
                          (["amber", "wait", "--for", "st"], "stopped")):
        ask = (f"COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; "
               "_amber; printf '%s\\n' \"${COMPREPLY[@]}\"")
        done = subprocess.run(["bash", "-c", script + "\n" + ask], env=env, text=True,
                              capture_output=True, timeout=30)
        check(wanted in done.stdout.split(), f"{words}: {done.stdout!r} {done.stderr!r}")


def a_gone_reader_ends_it_quietly(home):
    child = home.start("help", "run")
    child.stdout.close()
    child.stdout = None
    equal(child.stderr.read(), "")
    check(child.wait() in (0, 141), child.returncode)


def a_full_disk_is_an_error(home):
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run([AMBER, "help"], stdout=full, text=True,
                              stderr=subprocess.PIPE, env=home.env, timeout=30)
    equal(done.returncode, 1)
    check("No space left" in done.stderr, done.stderr)


if __name__ == "__main__":
    run([every_command_explains_itself,
         without_a_command_the_overview_is_an_error,
         wrong_words_are_one_line_with_the_nearest_right_one,
         what_is_not_there_is_said_with_what_to_do,
         a_vm_is_created_listed_and_deleted_without_running,
         a_configuration_is_printed_back_as_it_is_read,
         a_configuration_with_an_unknown_key_is_refused,
         host_says_whether_a_vm_can_run,
         plain_output_has_no_escapes_and_no_trailing_blanks,
         documents_are_what_the_tables_say,
         man_pages_are_without_complaint,
         completion_scripts_parse,
         bash_completes_commands_names_and_values,
         a_gone_reader_ends_it_quietly,
         a_full_disk_is_an_error], needs_kvm=False)
