import pytest

from neuro_cli.local.colin import NotToBeHadError, colin27


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """A PATH with nothing on it but the programs a test writes."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def write(name, script):
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    return write


@pytest.fixture
def absent(tmp_path):
    return tmp_path / "not installed"


def test_installed_package_is_used(tmp_path):
    installed = tmp_path / "ch2.nii.gz"
    installed.touch()
    assert colin27(tmp_path / "data", installed) == installed


def test_package_is_fetched_and_unpacked_once(tmp_path, absent, commands):
    commands("apt-get", ': > mricron-data_1_all.deb; echo "$@" >> calls')
    commands("dpkg-deb", "/bin/mkdir -p usr/share/mricron/templates; : > usr/share/mricron/templates/ch2.nii.gz")
    folder = tmp_path / "data"
    first, second = colin27(folder, absent), colin27(folder, absent)
    assert first == second == folder / "usr/share/mricron/templates/ch2.nii.gz"
    assert (folder / "calls").read_text() == "download -qq mricron-data\n"


def test_machine_without_apt_is_told_so(tmp_path, absent, commands):
    with pytest.raises(NotToBeHadError, match="there is no `apt-get` here"):
        colin27(tmp_path / "data", absent)


def test_failed_download_is_told_in_its_last_words(tmp_path, absent, commands):
    commands("apt-get", "echo 'W: something' >&2; echo 'E: Unable to locate package' >&2; exit 100")
    commands("dpkg-deb", "")
    with pytest.raises(NotToBeHadError, match="`apt-get`: E: Unable to locate package"):
        colin27(tmp_path / "data", absent)


def test_silent_failure_is_told_by_its_exit_code(tmp_path, absent, commands):
    commands("apt-get", "exit 7")
    commands("dpkg-deb", "")
    with pytest.raises(NotToBeHadError, match="exit code 7"):
        colin27(tmp_path / "data", absent)


def test_package_without_the_scan_is_told(tmp_path, absent, commands):
    commands("apt-get", ": > mricron-data_1_all.deb")
    commands("dpkg-deb", "")
    with pytest.raises(NotToBeHadError, match=r"holds no `ch2\.nii\.gz`"):
        colin27(tmp_path / "data", absent)


def test_download_that_brings_nothing_is_told(tmp_path, absent, commands):
    commands("apt-get", "")
    commands("dpkg-deb", "")
    with pytest.raises(NotToBeHadError, match="brought no package"):
        colin27(tmp_path / "data", absent)
