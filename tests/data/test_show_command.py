"""The command that shows data: where its page is, and what it refuses."""

import pytest

from tests.commands import run_command


def test_the_command_writes_a_page_and_says_where(data_dir, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_command("jaxvid.data.show", "synthetic_fight/tiny", f"--data_dir={data_dir}")
    page = tmp_path / "runs" / "data" / "synthetic_fight" / "tiny" / "index.html"
    assert capsys.readouterr().out == f"Page: {page.relative_to(tmp_path)}\n"
    assert "Data: synthetic_fight/tiny</h1>" in page.read_text()
    assert [path.name for path in page.parent.iterdir()] == ["index.html"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name a prepared dataset or a folder of videos, or give --config"),
        (["one", "two"], "unexpected argument 'two'"),
        (["/no/such/folder"], "/no/such/folder is not a directory"),
        (["no_such_dataset/64x64"], "Dataset no_such_dataset not found. tfds_builders/README.md lists ours"),
    ],
)
def test_the_command_refuses_what_it_cannot_show_in_one_line(arguments, message):
    with pytest.raises(ValueError, match=message) as caught:
        run_command("jaxvid.data.show", *arguments)
    assert "\n" not in str(caught.value)
