# SPDX-License-Identifier: Apache-2.0
"""Initramfs archives: the newc cpio writer and the choice of kernel modules.

One thread. Archives are reproducible: the same input gives the same bytes
(no times, owner 0, order as added), so a hash of one is a fair key. A parent
directory is always written before what lies in it, and no name twice.
"""
import os
import re
import stat

import debian


class Cpio:
    """An archive in the form the kernel unpacks: add entries, then bytes()."""

    def __init__(self):
        self._out = bytearray()
        self._names = set()

    def _entry(self, name, mode, data=b"", device=(0, 0)):
        self._names.add(name)
        encoded = name.encode() + b"\0"
        fields = (len(self._names), mode, 0, 0, 1, 0, len(data), 0, 0,
                  device[0], device[1], len(encoded), 0)
        self._out += b"070701" + b"".join(b"%08X" % f for f in fields)
        self._out += encoded
        self._pad(4)
        self._out += data
        self._pad(4)

    def _pad(self, boundary):
        self._out += bytes(-len(self._out) % boundary)

    def _leaf(self, name, mode, data=b"", device=(0, 0)):
        name = name.strip("/")
        if name in self._names:
            return
        self.directory(os.path.dirname(name))
        self._entry(name, mode, data, device)

    def directory(self, name):
        name = name.strip("/")
        if name and name not in self._names:
            self.directory(os.path.dirname(name))
            self._entry(name, stat.S_IFDIR | 0o755)

    def file(self, name, data, mode=0o644):
        self._leaf(name, stat.S_IFREG | mode, data)

    def copy(self, name, source):
        """Add a file of this machine; it keeps whether it is executable."""
        with open(source, "rb") as stream:
            data = stream.read()
        self.file(name, data, 0o755 if os.access(source, os.X_OK) else 0o644)

    def link(self, name, target):
        self._leaf(name, stat.S_IFLNK | 0o777, target.encode())

    def character(self, name, major, minor, mode=0o600):
        self._leaf(name, stat.S_IFCHR | mode, b"", (major, minor))

    def bytes(self):
        """The finished archive; nothing may be added afterwards."""
        self._entry("TRAILER!!!", 0)
        self._pad(512)
        return bytes(self._out)


def _plain(name):
    return name.replace("-", "_")


class Modules:
    """Chosen modules of a kernel, in the order in which they can be loaded."""

    def __init__(self, kernel, wanted):
        self.order = []  # paths on this machine
        self._infos = {}
        self._paths = {}
        for directory, _, files in os.walk(kernel.modules):
            for name in files:
                if name.endswith(".ko"):
                    self._paths[_plain(name[:-3])] = os.path.join(directory,
                                                                  name)
        with open(os.path.join(kernel.modules, "modules.builtin")) as lines:
            self._builtin = {_plain(os.path.basename(line.strip())[:-3])
                             for line in lines}
        for name in wanted:
            self._need(_plain(name))

    def _need(self, name):
        if name in self._builtin or name in self._infos:
            return
        if name not in self._paths:
            raise debian.PartsError("the kernel has no module %s" % name)
        with open(self._paths[name], "rb") as stream:
            blob = stream.read()
        info = re.findall(rb"\0(depends|alias)=([^\0]*)", blob)
        depends = [_plain(word) for key, value in info if key == b"depends"
                   for word in value.decode().split(",") if word]
        aliases = [value.decode() for key, value in info if key == b"alias"]
        self._infos[name] = (depends, aliases)
        for other in depends:
            self._need(other)
        self.order.append(self._paths[name])

    def _all_depends(self, name):
        """What must be there before a module, the first to load last."""
        found = []
        for other in self._infos[name][0]:
            if other in self._infos:
                found += [other] + self._all_depends(other)
        # Where a name stands twice, its last place is the earlier load.
        return [d for i, d in enumerate(found) if d not in found[i + 1:]]

    def add_to(self, archive, directory):
        """Put the modules into directory, with the tables modprobe reads."""
        dep, alias = [], []
        for path in self.order:
            name = os.path.basename(path)
            archive.copy(directory + "/" + name, path)
            plain = _plain(name[:-3])
            files = [os.path.basename(self._paths[d])
                     for d in self._all_depends(plain)]
            dep.append("%s: %s" % (name, " ".join(files)))
            alias += ["alias %s %s" % (a, plain) for a in self._infos[plain][1]]
        archive.file(directory + "/modules.dep", _lines(dep))
        archive.file(directory + "/modules.alias", _lines(alias))
        archive.file(directory + "/modules.symbols", b"")


def _lines(rows):
    return "".join(row.rstrip() + "\n" for row in rows).encode()
