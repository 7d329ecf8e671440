"""Namespaces of its own for a process: users, mounts, processes, network, IPC, host name, cgroups.

Who runs as root maps one more identity, `NOBODY`, because limits on processes do not hold for root;
anybody else becomes NOBODY in the new namespace at once.
"""

import os
from pathlib import Path

from service.core.sandbox.linux import (
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    set_hostname,
    unshare,
)

NOBODY = 65534
_NAMESPACES = (
    CLONE_NEWUSER
    | CLONE_NEWNS
    | CLONE_NEWPID
    | CLONE_NEWNET
    | CLONE_NEWIPC
    | CLONE_NEWUTS
    | CLONE_NEWCGROUP
)


def isolate() -> None:
    """The next child of this process is the first of a new world. Raises OSError."""
    is_root, uid, gid, pid = os.geteuid() == 0, os.geteuid(), os.getegid(), os.getpid()
    reading, writing = os.pipe()
    mapper = os.fork()  # the maps of a namespace are written from outside
    if mapper == 0:
        os.close(writing)
        is_made = os.read(reading, 1) == b"1"
        os._exit(_map(pid, uid, gid, is_root=is_root) if is_made else 0)
    os.close(reading)
    try:
        unshare(_NAMESPACES)
        os.write(writing, b"1")
    finally:
        os.close(writing)
        _, status = os.waitpid(mapper, 0)
    if status:
        number = os.waitstatus_to_exitcode(status)
        raise OSError(number, f"write the user map: {os.strerror(number)}")
    set_hostname("grader")


def _map(pid: int, uid: int, gid: int, *, is_root: bool) -> int:
    """0, or the number of what went wrong."""
    place = Path("/proc", str(pid))
    lines = "0 0 1\n65534 65534 1\n"
    try:
        if not is_root:
            (place / "setgroups").write_text("deny")  # else an unprivileged map is refused
        (place / "uid_map").write_text(lines if is_root else f"{NOBODY} {uid} 1\n")
        (place / "gid_map").write_text(lines if is_root else f"{NOBODY} {gid} 1\n")
    except OSError as error:
        return error.errno or 1
    return 0


def become_nobody() -> None:
    """Leaves root's identity and groups, where there are any."""
    if os.geteuid() != NOBODY:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
