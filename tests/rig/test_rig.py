#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: Apache-2.0
"""The rig's own tests: its archives and parsers, then L1 itself.

test_rig.py [unit|live]...   (default: both; live boots L1 once, then resumes)
Exit status: 0, 1 something broken, 77 nothing could run. One thread.
"""
import gzip
import lzma
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import unittest.mock

import machine
import parts
import rig
import run_rig_tests

initramfs = parts.initramfs


def kernel_image(payload):
    """A bzImage of nothing but a setup header and a payload."""
    image = bytearray(5 * 512)
    image[parts.SETUP_SECTS] = 4
    struct.pack_into("<II", image, parts.PAYLOAD_OFFSET, 0, len(payload))
    return bytes(image) + payload


class Unit(unittest.TestCase):
    def unpacked(self, archive):
        directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, directory)
        subprocess.run([parts.debian.busybox(), "cpio", "-id"], cwd=directory,
                       input=archive.bytes(), check=True, timeout=60,
                       stderr=subprocess.DEVNULL)
        return directory

    def test_archive_brings_files_links_and_modes(self):
        archive = initramfs.Cpio()
        archive.file("a/b/c", b"hello", 0o755)
        archive.file("/a/d", b"")
        archive.link("a/e", "b/c")
        root = self.unpacked(archive)
        with open(root + "/a/e", "rb") as stream:
            self.assertEqual(stream.read(), b"hello")
        self.assertTrue(os.access(root + "/a/b/c", os.X_OK))
        self.assertEqual(os.path.getsize(root + "/a/d"), 0)

    def test_archive_keeps_the_first_of_two_entries(self):
        archive = initramfs.Cpio()
        archive.file("a", b"first")
        archive.file("/a", b"second")
        with open(self.unpacked(archive) + "/a", "rb") as stream:
            self.assertEqual(stream.read(), b"first")

    def test_same_entries_give_the_same_archive(self):
        def make():
            archive = initramfs.Cpio()
            archive.copy("busybox", parts.debian.busybox())
            return archive.bytes()
        self.assertEqual(make(), make())

    def test_modules_come_after_what_they_depend_on(self):
        chosen = initramfs.Modules(parts.debian.Kernel(), ["kvm-amd"])
        names = [os.path.basename(path) for path in chosen.order]
        self.assertLess(names.index("irqbypass.ko"), names.index("kvm.ko"))
        self.assertEqual(names[-1], "kvm-amd.ko")

    def test_unknown_module_is_refused_by_name(self):
        with self.assertRaisesRegex(parts.debian.PartsError, "no_such"):
            initramfs.Modules(parts.debian.Kernel(), ["no-such"])

    def test_kernels_are_unpacked(self):
        for pack in (gzip.compress, lzma.compress):
            image = kernel_image(pack(b"\x7fELF kernel"))
            self.assertEqual(parts.unpack_kernel(image), b"\x7fELF kernel")

    def test_kernel_packed_in_an_unknown_way_is_refused(self):
        with self.assertRaisesRegex(parts.debian.PartsError, "abcdef01"):
            parts.unpack_kernel(kernel_image(b"\xab\xcd\xef\x01 what"))

    def test_program_brings_its_libraries_and_loader(self):
        found = " ".join(parts.libraries("/bin/ls"))
        self.assertIn("libc.so.6", found)
        self.assertIn("ld-linux", found)
        self.assertEqual(parts.libraries(parts.debian.busybox()), [])

    def report(self, text):
        report = run_rig_tests.Report(lambda line: None)
        for byte in text.encode():
            report.write(bytes([byte]))
        report.finish(None)
        return report

    def test_report_counts_promises(self):
        report = self.report("plan a\nplan b\npromise a ok 123\n"
                             "promise b failed 5 why; so\nfigure n 17\nx y\n")
        self.assertEqual(report.promises["a"], ("ok", 1.23, ""))
        self.assertEqual(report.promises["b"], ("failed", 0.05, "why; so"))
        self.assertEqual(report.figures, {"n": 17})
        self.assertEqual(report.commentary(), ["x y"])

    def test_report_breaks_promises_that_were_not_reported(self):
        report = self.report("plan a\nplan b\npromise a ok 1\n")
        self.assertEqual(report.promises["b"].status, "failed")

    def test_report_breaks_a_job_that_says_nothing(self):
        self.assertEqual(self.report("hello\n").count("failed"), 1)

    def side_by_side(self, job):
        said = []
        with unittest.mock.patch.object(run_rig_tests, "run_job", job):
            reports = run_rig_tests.run_side_by_side(
                ["a", "b", "c"], "build", said.append, "words", 2)
        return said, reports

    def test_jobs_side_by_side_are_all_reported_each_in_one_piece(self):
        def job(name, build, show, words):
            report = run_rig_tests.Report(show)
            for line in ("plan " + name, "promise %s ok 1" % name,
                         "figure f%s 7" % name):
                report.write((line + "\n").encode())
            show(words + " of " + name)
            return report
        said, reports = self.side_by_side(job)
        self.assertEqual(sum(r.count("ok") for r in reports), 3)
        self.assertEqual({k for r in reports for k in r.figures},
                         {"fa", "fb", "fc"})
        self.assertEqual(sorted(said[2::3]),
                         ["words of " + name for name in "abc"])

    def test_job_whose_process_dies_is_broken(self):
        def job(name, *_):
            os._exit(1)
        said, reports = self.side_by_side(job)
        self.assertEqual([r.count("failed") for r in reports], [1, 1, 1])
        self.assertIn("the process of job a died", "".join(said))


class Live(unittest.TestCase):
    def run_job(self, script, **options):
        self.said = b""

        def write(data):
            self.said += data
        options.setdefault("silence", 240)
        return rig.run(script, write=write, **options)

    def test_exit_status_of_the_job_comes_back(self):
        for status, seen in ((0, 0), (7, 7), (200, 127)):
            self.assertEqual(self.run_job("exit %d\n" % status), seen)

    def test_l1_has_kvm_with_svm(self):
        self.assertEqual(self.run_job(
            "test -c /dev/kvm && lsmod | grep -q kvm_amd\n"), 0)

    def test_cold_boot_works_as_well(self):
        self.assertEqual(self.run_job("echo up; exit 3\n", cold=True), 3)
        self.assertEqual(self.said, b"up\n")

    def test_time_of_day_is_right_and_goes_on(self):
        began = time.time()
        self.run_job("date +%s; sleep 1; date +%s\n")
        first, second = map(int, self.said.split())
        self.assertLess(abs(first - began), 30)
        self.assertIn(second - first, (1, 2, 3))

    def test_program_runs_with_its_libraries(self):
        self.assertEqual(self.run_job(
            "tool --version\n", put=[("/usr/bin/sha256sum", "tool")]), 0)
        self.assertIn(b"sha256sum", self.said)

    def test_output_is_carried_byte_for_byte(self):
        self.run_job("head -c 300000 /dev/zero | tr '\\0' '\\r'\n")
        self.assertEqual(self.said, b"\r" * 300000)

    def test_results_come_back(self):
        directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, directory)
        self.run_job("mkdir out; echo 42 >out/answer\n", get=directory)
        with open(directory + "/answer") as stream:
            self.assertEqual(stream.read(), "42\n")

    def test_instructions_are_counted_alike(self):
        # Busy time over a piece of work, as jobs/instructions.sh counts it:
        # the clock alone also holds how long L1 waited for its job.
        clock = "grep -E '^now|e_sleeptime|t_sleeptime' /proc/timer_list\n"
        counts = []
        for _ in range(2):
            self.run_job(clock + "sha256sum </bin/busybox >/dev/null\n" +
                         clock, shape=machine.Shape(1, icount=True))
            now, idle, iowait, later, more, wait = map(
                int, re.findall(rb"(\d+) nsecs", self.said))
            counts.append((later - more - wait) - (now - idle - iowait))
        self.assertLess(abs(counts[0] - counts[1]) / counts[0], 0.001)

    def left_over(self):
        return [name for name in os.listdir(parts.RIG_DIR)
                if name.startswith(("run-", "save-"))]

    def test_silent_job_is_ended_and_leaves_nothing(self):
        before = self.left_over()
        with self.assertRaisesRegex(TimeoutError, "no progress for 3 s"):
            self.run_job("echo here; sleep 1000\n", silence=3)
        self.assertEqual(self.left_over(), before)

    def test_talkative_job_is_ended_too(self):
        with self.assertRaisesRegex(TimeoutError, "not done after 4 s"):
            self.run_job("while echo x; do sleep 0.2; done\n", limit=4)

    def test_l1_that_stands_still_is_told_from_a_job_that_does(self):
        with unittest.mock.patch.object(machine, "STOPPED_S", 7):
            with self.assertRaisesRegex(machine.Stopped, "RIP=") as caught:
                self.run_job("kill -STOP $(ps -o pid,ppid | awk -v me=$$ "
                             "'$2 == 1 && $1 != me { print $1 }')\n"
                             "while echo x; do sleep 0.2; done\n", limit=60)
        self.assertNotIsInstance(caught.exception, TimeoutError)

    def test_job_is_tried_again_when_l1_has_stopped(self):
        said, tried = [], []

        def stops_once(*_, write, **__):
            tried.append(1)
            write(b"plan a\n")
            if len(tried) == 1:
                raise machine.Stopped("L1 has stopped")
            write(b"promise a ok 1\n")
        with unittest.mock.patch.object(rig, "run", stops_once):
            report = run_rig_tests.run_job("linux", "build", said.append)
        self.assertEqual(report.count("ok"), 1)
        self.assertIn("rig job linux: again, for L1 has stopped", said)

    def test_panic_of_l1_is_a_failure_of_the_rig(self):
        with self.assertRaisesRegex(machine.RigError, "without a job's"):
            self.run_job("echo c >/proc/sysrq-trigger; sleep 100\n")

    def test_command_line_ends_with_the_statuses_it_promises(self):
        program = os.path.join(parts.HERE, "rig.py")
        for arguments, status in (
                (["run", "--", "exit", "5"], 5),
                (["run", "--timeout", "3", "--", "sleep", "1000"], 124),
                (["run", "--put", "/no/such/file", "--", "true"], 125)):
            result = subprocess.run([program] + arguments, timeout=300,
                                    stderr=subprocess.DEVNULL)
            self.assertEqual(result.returncode, status, arguments)


class Lines(unittest.TextTestResult):
    """A line for each promise, in the form of the other test programs."""

    def startTest(self, test):
        super().startTest(test)
        self._began = time.monotonic()

    def stopTest(self, test):
        super().stopTest(test)
        bad = any(t is test for t, _ in self.failures + self.errors)
        print("%s %s (%.1f s)" % (
            "FAIL" if bad else "ok  ", test._testMethodName[len("test_"):],
            time.monotonic() - self._began), flush=True)


def main():
    kinds = {"unit": Unit, "live": Live}
    names = sys.argv[1:] or sorted(kinds, reverse=True)
    if not set(names) <= set(kinds):
        sys.exit("usage: test_rig.py [unit|live]...")
    rig.exit_on_signals()
    if "live" in names and not shutil.which("qemu-system-x86_64"):
        print("skip rig: qemu-system-x86_64 is not installed")
        return run_rig_tests.SKIPPED
    suite = unittest.TestSuite(
        unittest.defaultTestLoader.loadTestsFromTestCase(kinds[name])
        for name in names)
    with open(os.devnull, "w") as quiet:
        result = unittest.TextTestRunner(stream=quiet,
                                         resultclass=Lines).run(suite)
    for test, text in result.failures + result.errors:
        print("%s\n%s" % (test, text))
    bad = len(result.failures) + len(result.errors)
    print("rig: %d kept, %d broken" % (result.testsRun - bad, bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
