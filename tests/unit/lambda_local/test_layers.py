import pytest

from lambda_local._layers import LayerPart, lay_over


@pytest.fixture
def layer(tmp_path):
    """Makes a layer of files, given as path and content."""

    def make(name, files):
        for path, content in files.items():
            file = tmp_path / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        return LayerPart(tmp_path / name, tmp_path / name)

    return make


def test_lay_over_shows_the_files_of_all_layers(layer, tmp_path):
    first = layer("first", {"python/package/a.py": "a", "bin/tool": "1"})
    second = layer("second", {"python/package/b.py": "b"})
    lay_over([first, second], tmp_path / "opt")
    assert sorted(file.name for file in (tmp_path / "opt" / "python" / "package").iterdir()) == ["a.py", "b.py"]
    assert (tmp_path / "opt" / "bin" / "tool").read_text() == "1"


def test_lay_over_lets_the_later_layer_win(layer, tmp_path):
    parts = [layer(name, {"python/same.py": name}) for name in ("first", "second", "third")]
    lay_over(parts, tmp_path / "opt")
    assert (tmp_path / "opt" / "python" / "same.py").read_text() == "third"


@pytest.mark.parametrize(
    ("earlier", "later", "is_dir"), [({"x": "file"}, {"x/y": "1"}, True), ({"x/y": "1"}, {"x": "file"}, False)]
)
def test_lay_over_joins_no_file_with_a_folder(layer, tmp_path, earlier, later, is_dir):
    lay_over([layer("first", earlier), layer("second", later)], tmp_path / "opt")
    assert (tmp_path / "opt" / "x").is_dir() is is_dir


def test_lay_over_links_to_where_the_processes_find_the_layer(layer, tmp_path):
    source = layer("first", {"python/a.py": "a"}).source
    lay_over([LayerPart(source, tmp_path / "elsewhere")], tmp_path / "opt")
    assert (tmp_path / "opt" / "python").readlink() == tmp_path / "elsewhere" / "python"


def test_lay_over_of_no_layer_is_empty(tmp_path):
    lay_over([], tmp_path / "deep" / "opt")
    assert list((tmp_path / "deep" / "opt").iterdir()) == []
