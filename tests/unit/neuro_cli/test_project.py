import sys

import pytest

from neuro_cli.errors import CliError
from neuro_cli.project import Project, find_project


@pytest.fixture
def checkout(tmp_path):
    root = tmp_path / "checkout"
    (root / "functions/pipeline").mkdir(parents=True)
    (root / "template.yaml").touch()
    return root


def test_project_is_found_from_within(checkout, monkeypatch):
    monkeypatch.chdir(checkout / "functions/pipeline")
    assert find_project() == Project(checkout)


def test_another_sam_project_is_not_taken_for_ours(tmp_path, monkeypatch):
    (tmp_path / "template.yaml").touch()
    monkeypatch.chdir(tmp_path)
    assert find_project().root != tmp_path
    assert find_project().template.is_file()


def test_named_folder_must_hold_a_template(tmp_path):
    with pytest.raises(CliError, match=r"expected a folder with a `template\.yaml`"):
        find_project(tmp_path)


def test_named_folder_is_taken(checkout):
    assert find_project(checkout).root == checkout


def test_missing_layer_is_named_with_the_command_that_builds_it(checkout):
    project = Project(checkout)
    for folder in (*project.layers.values(), project.lambda_runtime):
        folder.mkdir(parents=True)
    project.require_built()
    project.layers["RuntimeLayer"].rmdir()
    with pytest.raises(CliError, match=r"RuntimeLayer` is missing") as caught:
        project.require_built()
    assert "make layers" in caught.value.hint


def test_layers_of_another_python_are_told(checkout):
    project = Project(checkout)
    for folder in (*project.layers.values(), project.lambda_runtime):
        folder.mkdir(parents=True)
    (project.lambda_runtime / f"runtime_client.{sys.implementation.cache_tag}-x86_64-linux-gnu.so").touch()
    project.require_built()
    (project.lambda_runtime / f"runtime_client.{sys.implementation.cache_tag}-x86_64-linux-gnu.so").unlink()
    (project.lambda_runtime / "runtime_client.cpython-27-x86_64-linux-gnu.so").touch()
    with pytest.raises(CliError, match="built for another Python: cpython-27"):
        project.require_built()
