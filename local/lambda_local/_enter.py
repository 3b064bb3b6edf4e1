"""Gives a process Lambda's folders - `/var/task`, `/opt`, `/tmp` - in a mount namespace of its own, and becomes it.

Runs as a script, in the place of the program that it starts: the arguments are a plan as JSON (`lambda_local._sandbox`
makes it), the program, and its arguments. Nothing is forked, so the process keeps its number, group and output. Where
the user may not mount, a user namespace is made too, in which the user keeps its own number.
"""

import ctypes
import json
import os
import sys

# From linux/sched.h and sys/mount.h; `os.unshare` came with Python 3.12 only.
_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 1, 2, 4, 8
_MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 32, 4096, 16384, 1 << 18

_libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Mount what the plan says, then run the program."""
    plan, program = json.loads(sys.argv[1]), sys.argv[2:]
    _unshare()
    _mount(None, "/", None, _MS_REC | _MS_PRIVATE)
    # Opened before anything is mounted: what is mounted may hide what is still to be.
    held = {source: os.open(source, os.O_PATH | os.O_CLOEXEC) for source, _, _ in plan["binds"]}
    held |= {path: os.open(path, os.O_PATH | os.O_CLOEXEC) for path in plan["kept"]}
    for folder in plan["empty"]:
        _mount("tmpfs", folder, "tmpfs", _MS_NOSUID | _MS_NODEV)
    for source, target, is_read_only in plan["binds"]:
        _bind(held[source], target, is_read_only=is_read_only)
    for path in plan["kept"]:
        _bind(held[path], path, is_read_only=True)
    for folder in plan["empty"]:
        _mount(None, folder, None, _MS_REMOUNT | _MS_BIND | _MS_RDONLY | _MS_NOSUID | _MS_NODEV)
    os.chdir(plan["directory"])
    os.execv(program[0], program)  # noqa: S606 - no shell is wanted


def _unshare() -> None:
    user, group = os.getuid(), os.getgid()
    if _libc.unshare(_CLONE_NEWNS) == 0:
        return
    if _libc.unshare(_CLONE_NEWNS | _CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "no mount namespace can be made")
    for name, content in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:  # noqa: PTH123 - pathlib takes as long as all of this
            file.write(content)


def _bind(source: int, target: str, *, is_read_only: bool) -> None:
    path = f"/proc/self/fd/{source}"
    if os.path.isdir(path):  # noqa: PTH112
        os.makedirs(target, exist_ok=True)  # noqa: PTH103
    _mount(path, target, None, _MS_BIND | _MS_REC)
    if is_read_only:
        # What the mount beneath forbids may not be allowed by this one.
        flags = os.statvfs(target).f_flag & (_MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
        _mount(None, target, None, _MS_REMOUNT | _MS_BIND | _MS_RDONLY | flags)


def _mount(source: "str | None", target: str, kind: "str | None", flags: int) -> None:
    arguments = [value.encode() if value is not None else None for value in (source, target, kind)]
    if _libc.mount(*arguments, ctypes.c_ulong(flags), None) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"cannot mount on `{target}`: {os.strerror(number)}")


if __name__ == "__main__":
    main()
