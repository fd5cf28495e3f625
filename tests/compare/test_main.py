import subprocess
import sys

from tests.compare.made_up import write_run


def run_command(*arguments):
    command = [sys.executable, "-m", "jaxvid.compare", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command_compares_runs_with_its_real_arguments(tmp_path):
    first = write_run(tmp_path / "a", "abcdefgh")
    second = write_run(tmp_path / "b", "aijkl", class_names=("violence", "calm"), positive=0)
    output = tmp_path / "out"
    values = (f"--results={tmp_path / 'results.csv'}", "--names=A b", "--set=seconds=60")
    done = run_command(first, second, f"--output={output}", "--class_map=violence:fight,calm:no_fight", *values)
    assert done.returncode == 0, done.stderr
    assert "| a | b | 1 | 7 | 4 | +25.0 [" in done.stdout
    page, added = done.stdout.splitlines()[-2:]
    assert page == f"Page: {output / 'comparison.html'}"
    assert added.endswith("results.csv: added A b, movies, movies, test")
    assert (tmp_path / "results.csv").read_text().splitlines()[1].startswith("A b,movies,movies,test,2 runs,24,")
    assert (output / "comparison.md").read_text() in done.stdout


def test_the_command_prints_one_line_for_a_mistake_of_the_user(tmp_path):
    done = run_command(write_run(tmp_path / "a", "a"), "--class_map=violence")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: --class_map has the part 'violence'; allowed: theirs:ours")
