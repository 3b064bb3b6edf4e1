"""What this machine has to give."""

import os
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_MEMINFO = Path("/proc/meminfo")


def available_memory_bytes(cgroups: Path = _CGROUPS, meminfo: Path = _MEMINFO) -> int:
    """Memory that a new process can have without swapping: the machine's, or the container's where that is less.

    The machine's is what the kernel calls available (`MemAvailable`); where there is no such figure, as on macOS, half
    of what is installed.
    """
    return min([_of_machine(meminfo), *_of_container(cgroups)])


def _of_machine(meminfo: Path) -> int:
    try:
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def _of_container(cgroups: Path) -> list[int]:
    """What is left of the control group's limit, by version 2 or 1 of its files; nothing where there is no limit."""
    for limit_name, usage_name in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            limit, usage = (cgroups / limit_name).read_text(), (cgroups / usage_name).read_text()
            return [max(int(limit) - int(usage), 0)]
        except (OSError, ValueError):  # no such file, or the limit is `max`
            continue
    return []
