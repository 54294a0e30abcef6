"""Landlock without rules: opening, creating or listing files, TCP, and signals to the outside are denied.

The zygote restricts itself once; every child inherits it. What Landlock does not cover (`stat`, sockets other than TCP)
is left to seccomp. Source: Linux Documentation/userspace-api/landlock.rst; the version of
the interface is queried from the kernel, not derived from its release.
"""

from __future__ import annotations

import ctypes
import os
import sys

_CREATE_RULESET, _RESTRICT_SELF = 444, 446  # the same numbers on every architecture
_VERSION_FLAG = 1

# number of file-system rights known to each version of the interface (each is one bit, from bit 0)
_FS_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_NET_BIND_AND_CONNECT_TCP = 3  # since version 4
_SCOPE_ABSTRACT_SOCKET_AND_SIGNAL = 3  # since version 6


class _RulesetAttributes(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


def deny_all() -> int:
    """Deny the calling process everything that Landlock covers, permanently. Needs no_new_privs.

    Returns:
        The version of the kernel's interface.

    Raises:
        OSError: the kernel has no Landlock, or it is switched off.
    """
    if not sys.platform.startswith("linux"):
        raise OSError(f"Landlock is a Linux facility; this is {sys.platform}")
    syscall = ctypes.CDLL(None, use_errno=True).syscall
    syscall.restype = ctypes.c_long
    version = syscall(ctypes.c_long(_CREATE_RULESET), None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION_FLAG))
    if version < 1:
        raise OSError(ctypes.get_errno(), "the kernel has no Landlock")
    attributes = _RulesetAttributes(fs=(1 << _FS_RIGHTS[min(version, 5)]) - 1)
    size = 8
    if version >= 4:
        attributes.net, size = _NET_BIND_AND_CONNECT_TCP, 16
    if version >= 6:
        attributes.scoped, size = _SCOPE_ABSTRACT_SOCKET_AND_SIGNAL, 24
    ruleset = syscall(
        ctypes.c_long(_CREATE_RULESET), ctypes.byref(attributes), ctypes.c_size_t(size), ctypes.c_uint32(0)
    )
    if ruleset < 0:
        raise OSError(ctypes.get_errno(), "landlock_create_ruleset failed")
    result = syscall(ctypes.c_long(_RESTRICT_SELF), ctypes.c_int(ruleset), ctypes.c_uint32(0))
    number = ctypes.get_errno()
    os.close(ruleset)
    if result != 0:
        raise OSError(number, "landlock_restrict_self failed")
    return int(version)
