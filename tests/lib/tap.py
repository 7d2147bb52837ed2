# SPDX-License-Identifier: Apache-2.0
"""A tap interface for a test: up, and silent but for the test's own frames;
removed whatever happens."""

import itertools
import os
import shutil
import subprocess

_number = itertools.count()


def why_not():
    """None, or why there can't be one here."""
    if os.geteuid():
        return "a tap interface needs root"
    if not os.path.exists("/dev/net/tun"):
        return "/dev/net/tun is missing"
    if not shutil.which("ip"):
        return "ip is not installed (package iproute2)"
    return None


class Tap:
    def __init__(self):
        self.name = f"amb{os.getpid() % 10**8}.{next(_number) % 1000}"

    def _ip(self, *words):
        subprocess.run(["ip", *words], capture_output=True, timeout=20, check=True)

    def __enter__(self):
        self._ip("tuntap", "add", self.name, "mode", "tap", "vnet_hdr")
        try:
            # The host would look for neighbours of its own accord.
            switch = f"/proc/sys/net/ipv6/conf/{self.name}/disable_ipv6"
            if os.path.exists(switch):
                with open(switch, "w", encoding="ascii") as f:
                    f.write("1")
            self._ip("link", "set", self.name, "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        subprocess.run(["ip", "link", "del", self.name], capture_output=True, timeout=20,
                       check=False)

    def count(self, what):
        with open(f"/sys/class/net/{self.name}/statistics/{what}", encoding="ascii") as f:
            return int(f.read())
