import pytest

from neuro_cli.inprocess.machine import available_memory_bytes


@pytest.fixture
def meminfo(tmp_path):
    path = tmp_path / "meminfo"
    path.write_text("MemTotal:       16000000 kB\nMemFree:         1000000 kB\nMemAvailable:    8000000 kB\n")
    return path


@pytest.fixture
def cgroups(tmp_path):
    folder = tmp_path / "cgroup"

    def write(limit_name, limit, usage_name, usage):
        for name, text in ((limit_name, limit), (usage_name, usage)):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(f"{text}\n")
        return folder

    return write


def test_machine_s_available_memory_counts(tmp_path, meminfo):
    assert available_memory_bytes(tmp_path / "none", meminfo) == 8_000_000 * 1024


def test_container_s_limit_counts_where_it_is_less(cgroups, meminfo):
    folder = cgroups("memory.max", 2_000_000_000, "memory.current", 500_000_000)
    assert available_memory_bytes(folder, meminfo) == 1_500_000_000


def test_container_without_a_limit_has_the_machine_s(cgroups, meminfo):
    folder = cgroups("memory.max", "max", "memory.current", 500_000_000)
    assert available_memory_bytes(folder, meminfo) == 8_000_000 * 1024


def test_first_version_of_control_groups_counts_too(cgroups, meminfo):
    folder = cgroups("memory/memory.limit_in_bytes", 10**9, "memory/memory.usage_in_bytes", 4 * 10**8)
    assert available_memory_bytes(folder, meminfo) == 6 * 10**8


def test_full_container_has_nothing_left(cgroups, meminfo):
    folder = cgroups("memory.max", 10**9, "memory.current", 2 * 10**9)
    assert available_memory_bytes(folder, meminfo) == 0


def test_without_meminfo_half_of_the_installed_memory_is_taken(tmp_path):
    assert available_memory_bytes(tmp_path, tmp_path / "none") > 10**8
