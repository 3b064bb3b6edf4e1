import importlib
import logging
import sys
from importlib.machinery import SourceFileLoader

import pytest

from lambda_otel.aws.post_import import _Finder, after_import


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write a module that is not imported yet."""
    monkeypatch.syspath_prepend(tmp_path)
    before, finders = set(sys.modules), list(sys.meta_path)

    def write(name, source="value = 1\n"):
        path = tmp_path / f"{name}.py"
        path.write_text(source)
        importlib.invalidate_caches()
        return path

    yield write
    sys.meta_path[:] = finders
    for name in set(sys.modules) - before:
        if name.startswith("hooked_"):
            del sys.modules[name]


def finders():
    return [one for one in sys.meta_path if isinstance(one, _Finder)]


def test_hook_is_called_once_after_the_import_and_leaves_no_trace(module):
    path, seen = module("hooked_a"), []
    after_import("hooked_a", lambda found: seen.append((found.value, found.__name__)))
    assert seen == []
    assert len(finders()) == 1

    imported = importlib.import_module("hooked_a")

    assert seen == [(1, "hooked_a")]
    assert finders() == []
    assert type(imported.__spec__.loader) is type(imported.__loader__) is SourceFileLoader
    assert imported.__file__ == str(path)
    importlib.reload(imported)
    assert len(seen) == 1


def test_hook_is_called_at_once_for_a_module_that_is_there(module):
    module("hooked_b")
    importlib.import_module("hooked_b")
    seen = []

    after_import("hooked_b", seen.append)

    assert [found.__name__ for found in seen] == ["hooked_b"]
    assert finders() == []


def test_two_modules_share_a_finder_until_both_are_there(module):
    module("hooked_c")
    module("hooked_d")
    seen = []
    after_import("hooked_c", lambda found: seen.append(found.__name__))
    after_import("hooked_d", lambda found: seen.append(found.__name__))
    assert len(finders()) == 1

    importlib.import_module("hooked_d")
    assert len(finders()) == 1
    importlib.import_module("hooked_c")

    assert seen == ["hooked_d", "hooked_c"]
    assert finders() == []


def test_error_of_a_hook_is_a_line_in_the_log_and_the_import_works(module, caplog):
    module("hooked_e")
    after_import("hooked_e", lambda found: found.nothing_of_that_name)

    assert importlib.import_module("hooked_e").value == 1

    (record,) = [one for one in caplog.records if one.levelno == logging.WARNING]
    assert "`hooked_e`" in record.getMessage()


def test_import_that_fails_fails_as_ever_and_is_hooked_the_next_time(module):
    seen = []
    module("hooked_f", "raise RuntimeError('not today')\n")
    after_import("hooked_f", seen.append)
    with pytest.raises(RuntimeError, match="not today"):
        importlib.import_module("hooked_f")
    assert seen == []

    module("hooked_f", "value = 22\n")
    importlib.import_module("hooked_f")

    assert [found.value for found in seen] == [22]


def test_module_that_does_not_exist_is_not_found_as_ever(module):
    module("hooked_other")
    after_import("hooked_nowhere", lambda found: None)

    with pytest.raises(ModuleNotFoundError) as error:
        importlib.import_module("hooked_nowhere")

    assert error.value.name == "hooked_nowhere"


def test_other_finders_wrap_ours_and_ours_wraps_theirs(module):
    """As `wrapt` and tracers of others do it: they ask all finders again, themselves left out."""
    module("hooked_g")
    seen = []

    class Wrapping:
        is_busy = False

        def find_spec(self, name, path=None, target=None):
            if self.is_busy or name != "hooked_g":
                return None
            self.is_busy = True
            try:
                return importlib.util.find_spec(name)
            finally:
                self.is_busy = False
                seen.append("theirs")

    sys.meta_path.insert(0, Wrapping())
    after_import("hooked_g", lambda found: seen.append("ours"))
    importlib.import_module("hooked_g")

    assert "ours" in seen
    assert "theirs" in seen


def test_loader_passes_on_what_else_the_import_system_asks_for(module):
    module("hooked_h", "text = 'source'\n")
    after_import("hooked_h", lambda found: None)

    spec = importlib.util.find_spec("hooked_h")

    assert spec.loader.get_source("hooked_h") == "text = 'source'\n"
