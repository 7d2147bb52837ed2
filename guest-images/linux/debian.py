# SPDX-License-Identifier: Apache-2.0
"""Debian packages as parts: fetched once into a cache, unpacked without root.

Used by the Linux guest's recipe and by the test rig, possibly at the same
time from two make jobs: every change of the cache happens under one file
lock, and a package appears in it by a rename, so what is there is complete.
A package that is in the cache is never fetched again.
"""
import contextlib
import fcntl
import glob
import os
import re
import shutil
import subprocess
import tempfile

KERNEL = "linux-image-cloud-amd64"
BUSYBOX = "busybox-static"


class PartsError(Exception):
    """A part can't be had; the text says which one and what would help."""


def project_root():
    here = os.path.dirname(os.path.abspath(__file__))
    return os.path.dirname(os.path.dirname(here))


def build_dir():
    return os.path.join(project_root(), "build")


@contextlib.contextmanager
def locked(directory):
    """Hold the lock of a directory that several processes fill."""
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _kernel_pattern():
    return "linux-image-*-cloud-amd64_*_amd64.deb"


def _cached(cache, pattern):
    """The most recently fetched package file that matches, or None."""
    found = glob.glob(os.path.join(cache, pattern))
    return max(found, key=os.path.getmtime) if found else None


def _real_kernel_package():
    """The versioned package behind the kernel's meta package."""
    try:
        text = subprocess.run(["apt-cache", "depends", KERNEL], check=True,
                              stdout=subprocess.PIPE, text=True,
                              timeout=120).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise PartsError("apt-cache depends %s: %s" % (KERNEL, error))
    match = re.search(r"Depends: (linux-image-\S+)", text)
    if not match:
        raise PartsError("apt knows no package %s: run apt-get update, which "
                         "make deps does" % KERNEL)
    return match.group(1)


def _download(packages, cache):
    """Fetch them in one go: each time apt starts it costs a second."""
    with tempfile.TemporaryDirectory(dir=cache, prefix="get-") as part:
        # As root apt would switch to a user who can't write here.
        command = ["apt-get", "download", "-qq",
                   "-o", "APT::Sandbox::User=root", *packages]
        try:
            subprocess.run(command, cwd=part, check=True, timeout=900,
                           stdin=subprocess.DEVNULL)
        except (OSError, subprocess.SubprocessError) as error:
            raise PartsError("%s can't be fetched: %s"
                             % (" ".join(packages), error))
        debs = glob.glob(os.path.join(part, "*.deb"))
        if len(debs) != len(packages):
            raise PartsError("%s: expected %d package files, apt-get left %d"
                             % (" ".join(packages), len(packages), len(debs)))
        for path in debs:
            target = os.path.join(cache, os.path.basename(path))
            os.rename(path, target)
            os.utime(target)


def _unpacked(deb, where):
    """Unpack a package file under where, once; returns its directory."""
    name = os.path.basename(deb)[:-len(".deb")]
    root = os.path.join(where, name)
    if os.path.isdir(root):
        return root
    part = tempfile.mkdtemp(dir=where, prefix="unpack-")
    try:
        subprocess.run(["dpkg-deb", "-x", deb, part], check=True, timeout=600)
        os.chmod(part, 0o755)
        os.rename(part, root)
    except (OSError, subprocess.SubprocessError) as error:
        shutil.rmtree(part, ignore_errors=True)
        raise PartsError("%s can't be unpacked: %s" % (deb, error))
    return root


def _find(name, cache):
    return _cached(cache,
                   _kernel_pattern() if name == KERNEL else name + "_*.deb")


def _fetch(names, cache):
    """What of them is not in the cache."""
    missing = [name for name in names if not _find(name, cache)]
    if missing:
        _download([_real_kernel_package() if name == KERNEL else name
                   for name in missing], cache)


def _deb(name, cache):
    """The package's file in the cache; fetched if it is not there."""
    _fetch([name], cache)
    return _find(name, cache)


def _debs():
    return os.path.join(build_dir(), "cache", "debs")


def deb(name):
    """Path of a package's file; fetched if it is not in the cache."""
    with locked(_debs()):
        return _deb(name, _debs())


def package(name):
    """Directory with the unpacked files of a package.

    Fetches what is missing, but nothing that the package depends on: see
    closure(). name is KERNEL or the name of a package.
    """
    roots = os.path.join(build_dir(), "cache", "roots")
    with locked(_debs()), locked(roots):
        return _unpacked(_deb(name, _debs()), roots)


def _depends(name):
    """Names of the packages that one needs; of alternatives the first."""
    try:
        text = subprocess.run(
            ["dpkg-deb", "-f", deb(name), "Pre-Depends", "Depends"],
            check=True, stdout=subprocess.PIPE, text=True, timeout=120).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise PartsError("%s can't be read: %s" % (name, error))
    text = re.sub(r"^\S+:", ",", text, flags=re.M)
    return re.findall(r"(?:^|,)\s*([a-z0-9][a-z0-9.+-]+)", text)


def closure(names, without):
    """The packages given and all they depend on, sorted.

    without: names that are left out, with what only they depend on.
    """
    found = set()
    wave = set(names) - set(without)
    while wave:
        with locked(_debs()):
            _fetch(sorted(wave), _debs())
        found |= wave
        needed = {other for name in wave for other in _depends(name)}
        wave = needed - found - set(without)
    return sorted(found)


class Kernel:
    """The stock kernel: its release, bzImage and module directory."""

    def __init__(self):
        self.root = package(KERNEL)
        images = glob.glob(os.path.join(self.root, "boot", "vmlinuz-*"))
        if len(images) != 1:
            raise PartsError("%s holds %d kernels, expected one"
                             % (self.root, len(images)))
        self.image = images[0]
        self.release = os.path.basename(images[0])[len("vmlinuz-"):]
        for lib in ("lib/modules", "usr/lib/modules"):
            self.modules = os.path.join(self.root, lib, self.release)
            if os.path.isdir(self.modules):
                return
        raise PartsError("%s holds no modules" % self.root)


def busybox():
    """Path of the static busybox."""
    root = package(BUSYBOX)
    for path in ("bin/busybox", "usr/bin/busybox"):
        if os.path.exists(os.path.join(root, path)):
            return os.path.join(root, path)
    raise PartsError("%s holds no busybox" % root)
