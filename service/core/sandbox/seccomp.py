"""The system calls that are left to a stranger's function, as a filter for the kernel.

A list of what is allowed, put together by hand: the library for it, pyseccomp, has had no release
since 2021 and needs libseccomp on the machine, and a flat list takes four kinds of instruction. See
seccomp(2).
"""

import ctypes
import platform
import struct
from collections.abc import Mapping

from service.core.sandbox.linux import PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, prctl

_X86_64, _AARCH64 = 0, 1
_MACHINES = {"x86_64": (_X86_64, 0xC000003E), "aarch64": (_AARCH64, 0xC00000B7)}
"""By `uname -m`: the column of the table, and the kernel's own number of the architecture."""

_ALLOWED: Mapping[str, tuple[int | None, int | None]] = {
    # memory
    "brk": (12, 214),
    "madvise": (28, 233),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "mremap": (25, 216),
    "munmap": (11, 215),
    # files below the sandbox's root
    "access": (21, None),
    "close": (3, 57),
    "close_range": (436, 436),
    "dup": (32, 23),
    "faccessat": (269, 48),
    "faccessat2": (439, 439),
    "fcntl": (72, 25),
    "fstat": (5, 80),
    "fsync": (74, 82),
    "ftruncate": (77, 46),
    "getcwd": (79, 17),
    "getdents64": (217, 61),
    "lseek": (8, 62),
    "lstat": (6, None),
    "mkdir": (83, None),
    "mkdirat": (258, 34),
    "newfstatat": (262, 79),
    "open": (2, None),
    "openat": (257, 56),
    "pread64": (17, 67),
    "pwrite64": (18, 68),
    "read": (0, 63),
    "readlink": (89, None),
    "readlinkat": (267, 78),
    "readv": (19, 65),
    "rename": (82, None),
    "renameat": (264, 38),
    "renameat2": (316, 276),
    "rmdir": (84, None),
    "stat": (4, None),
    "statx": (332, 291),
    "unlink": (87, None),
    "unlinkat": (263, 35),
    "write": (1, 64),
    "writev": (20, 66),
    # threads (their creation is looked at below), time and itself
    "clock_getres": (229, 114),
    "clock_gettime": (228, 113),
    "clock_nanosleep": (230, 115),
    "exit": (60, 93),
    "exit_group": (231, 94),
    "futex": (202, 98),
    "getegid": (108, 177),
    "geteuid": (107, 175),
    "getgid": (104, 176),
    "getpid": (39, 172),
    "getppid": (110, 173),
    "getrandom": (318, 278),
    "getrusage": (98, 165),
    "gettid": (186, 178),
    "gettimeofday": (96, 169),
    "getuid": (102, 174),
    "nanosleep": (35, 101),
    "restart_syscall": (219, 128),
    "rseq": (334, 293),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sched_getaffinity": (204, 123),
    "sched_yield": (24, 124),
    "set_robust_list": (273, 99),
    "sigaltstack": (131, 132),
    "time": (201, None),
    "times": (100, 153),
    "uname": (63, 160),
}
_CLONE, _CLONE3 = (56, 220), 435
_THREAD_FLAGS, _DETACHED = 0x3D0F00, 0x400000
"""With which glibc and musl make a thread; musl adds a flag without a meaning."""

_LOAD, _AND, _EQUALS, _RETURN = 0x20, 0x54, 0x15, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
_ALLOW, _KILL, _FAIL = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM, _ENOSYS = 1, 38
_MODE_FILTER = 2


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value)


def filter_program(machine: str) -> bytes:
    """For this kind of machine. Raises OSError for one that the table has no column of."""
    if machine not in _MACHINES:
        raise OSError(f"there is no filter of system calls for {machine}")
    column, architecture = _MACHINES[machine]
    program = [
        _instruction(_LOAD, _ARCHITECTURE),
        _instruction(_EQUALS, architecture, 1),
        _instruction(_RETURN, _KILL),
        _instruction(_LOAD, _NUMBER),
    ]
    for numbers in _ALLOWED.values():
        number = numbers[column]
        if number is not None:
            program += [_instruction(_EQUALS, number, 0, 1), _instruction(_RETURN, _ALLOW)]
    program += [
        # clone3 hides its flags in memory; ENOSYS makes the C library fall back to clone
        _instruction(_EQUALS, _CLONE3, 0, 1),
        _instruction(_RETURN, _FAIL | _ENOSYS),
        _instruction(_EQUALS, _CLONE[column], 0, 4),
        _instruction(_LOAD, _FIRST_ARGUMENT),
        _instruction(_AND, 0xFFFFFFFF & ~_DETACHED),
        _instruction(_EQUALS, _THREAD_FLAGS, 0, 1),
        _instruction(_RETURN, _ALLOW),
        _instruction(_RETURN, _FAIL | _EPERM),
    ]
    return b"".join(program)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def confine_system_calls() -> None:
    """From here on, for this thread and all that it begets."""
    code = filter_program(platform.machine())
    program = _Program(len(code) // 8, code)
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    prctl(PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program))
