import importlib
import json
import subprocess
import sys

import pytest

from neuro_cli.main import COMMANDS, main
from neuro_preprocess import __version__


def test_version_is_the_project_s_own(run):
    answer = run("--version")
    assert answer.out == f"neuro-preprocess, version {__version__}\n"


def test_help_lists_every_command(run):
    answer = run("--help")
    assert answer.exit_code == 0
    assert all(f"\n  {name} " in answer.out for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_summary_is_the_first_line_of_the_command_s_own_help(name):
    module, summary = COMMANDS[name]
    command = importlib.import_module(f"neuro_cli.commands.{module}").command
    assert command.name == name
    assert command.help.splitlines()[0] == summary


@pytest.mark.parametrize("words", [[name] for name in COMMANDS if name != "local"] + [["local", "up"]])
def test_help_of_a_command_has_examples(run, words):
    answer = run(*words, "--help")
    assert answer.exit_code == 0
    assert "Examples:\n" in answer.out
    assert f"neuro-preprocess {' '.join(words)}" in answer.out.partition("Examples:")[2]


def test_no_help_line_is_longer_than_a_terminal_is_wide(run):
    for words in ([], *([name] for name in COMMANDS), ["local", "up"]):
        lines = run(*words, "--help").out.splitlines()
        assert max(map(len, lines)) <= 100, max(lines, key=len)


def test_unknown_command_is_a_usage_error(run):
    answer = run("proces")
    assert answer.exit_code == 2
    assert "proces" in answer.err
    assert answer.out == ""


def test_help_imports_no_science_and_no_aws():
    """`--help` answers at once: what is heavy is imported by the command that needs it."""
    script = (
        "import sys\n"
        "from neuro_cli.main import main\n"
        "try:\n"
        "    main(['--help'])\n"
        "except SystemExit:\n"
        "    pass\n"
        "print(sorted({'numpy', 'boto3', 'rich', 'moto', 'opentelemetry'} & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"


def test_main_is_the_entry_point():
    (entry,) = importlib.metadata.entry_points(group="console_scripts", name="neuro-preprocess")
    assert entry.load() is main


@pytest.mark.parametrize("is_verbose", [True, False])
def test_steps_are_logged_on_stderr_where_that_is_asked_for(tmp_path, is_verbose):
    words = ["process", str(tmp_path), "-o", str(tmp_path), "--json"]
    command = [sys.executable, "-m", "neuro_cli", *(["-v"] if is_verbose else []), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert json.loads(done.stdout)["error"]["code"] == "UNREADABLE"
    assert ("Processing file" in done.stderr) == is_verbose
    assert (done.stderr == "") != is_verbose
