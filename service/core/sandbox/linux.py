"""The system calls that Python 3.11 has no function for. A failure is an OSError that says which.

See mount(2), mount_setattr(2), unshare(2), pivot_root(2), prctl(2), capset(2).
"""

import ctypes
import errno
import os

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
MNT_DETACH = 2

_SYS_MOUNT_SETATTR = 442
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP = 1, 4, 22
PR_CAPBSET_DROP, PR_SET_SECUREBITS, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 24, 28, 38, 47
PR_CAP_AMBIENT_CLEAR_ALL = 4
SECUREBITS_LOCKED = 0x2F
"""Root is nobody special, identities keep no capabilities, and neither can be taken back."""
_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


def _call(what: str, result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def unshare(flags: int) -> None:
    _call("unshare", _libc.unshare(flags))


def mount(source: str, target: str, kind: str | None, flags: int, options: str = "") -> None:
    result = _libc.mount(
        source.encode(),
        target.encode(),
        kind.encode() if kind else None,
        ctypes.c_ulong(flags),
        options.encode() or None,
    )
    _call(f"mount {target}", result)


class _MountAttributes(ctypes.Structure):
    _fields_ = (
        ("set", ctypes.c_uint64),
        ("clear", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def make_read_only(target: str, *, recursive: bool) -> None:
    """Read-only, without devices or set-uid programs. Needs Linux 5.12; a plain remount would have
    to repeat every flag that the mount below is locked with."""
    attributes = _MountAttributes(set=MS_RDONLY | MS_NOSUID | MS_NODEV)
    result = _libc.syscall(
        ctypes.c_long(_SYS_MOUNT_SETATTR),
        ctypes.c_long(_AT_FDCWD),
        target.encode(),
        ctypes.c_long(_AT_RECURSIVE if recursive else 0),
        ctypes.byref(attributes),
        ctypes.c_long(ctypes.sizeof(attributes)),
    )
    _call(f"mount_setattr {target}", result)


def unmount(target: str) -> None:
    _call(f"umount {target}", _libc.umount2(target.encode(), MNT_DETACH))


def pivot_root(new: str, old: str) -> None:
    _call("pivot_root", _libc.pivot_root(new.encode(), old.encode()))


def set_hostname(name: str) -> None:
    _call("sethostname", _libc.sethostname(name.encode(), ctypes.c_size_t(len(name))))


def prctl(option: int, value: int = 0, address: "ctypes._CArgObject | None" = None) -> None:
    third = ctypes.c_ulong(0) if address is None else address
    zero = ctypes.c_ulong(0)
    result = _libc.prctl(ctypes.c_int(option), ctypes.c_ulong(value), third, zero, zero)
    _call(f"prctl {option}", result)


def forbid_capabilities() -> None:
    """None can be gained any more; those that are held stay until `drop_capabilities`."""
    prctl(PR_SET_SECUREBITS, SECUREBITS_LOCKED)
    for number in range(64):
        try:
            prctl(PR_CAPBSET_DROP, number)
        except OSError as error:
            if error.errno != errno.EINVAL:  # past the last that this kernel knows
                raise
            break
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)


def drop_capabilities() -> None:
    """Permitted, effective and inheritable."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    none = (ctypes.c_uint32 * 6)()
    _call("capset", _libc.capset(ctypes.byref(header), ctypes.byref(none)))
