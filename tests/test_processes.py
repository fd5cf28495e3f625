import signal
import time

import pytest

from jaxvid import processes
from jaxvid.config import base_config
from tests.several import ended, free_port, two

CHECKS = """
import importlib.metadata
from jaxvid.config import base_config

def tried(check, *arguments):
    try:
        print(check(*arguments) or "alike")
    except ValueError as error:
        print(error)

config = base_config()
config.dataset.data_dir = f"/data/of/{index}"
tried(processes.check_same_run, config)
version = importlib.metadata.version
if index:
    importlib.metadata.version = lambda package: "0.0.1" if package == "flax" else "9.9" if package == "jax" else "1"
else:
    importlib.metadata.version = lambda package: "0.0.1" if package == "flax" else "1"
config.train.batch_size += index
tried(processes.check_same_run, config)
tried(processes.check_alike, {"clips of train": "ab" if index else "cd"})
tried(processes.check_shared, directory / "shared")
tried(processes.check_shared, directory / "own" / str(index))
with processes.first_process_first("build"):
    found = (directory / "built").exists()
    time.sleep(1 - index)
    (directory / "built").touch()
print(found)
"""

FAILURE = """
import numpy as np
from jax.experimental import multihost_utils
with processes.ending_together(KeyError):
    multihost_utils.process_allgather(np.zeros(1))
    {failure}
    multihost_utils.process_allgather(np.zeros(1))
"""


def last_line(text):
    return text.strip().splitlines()[-1]


@pytest.mark.slow
def test_processes_with_other_configs_versions_or_workdirs_are_named(tmp_path):
    for process, (status, output, errors) in enumerate(ended(*two(CHECKS, tmp_path))):
        assert status == 0, errors
        alike, differ, other_clips, shared, not_shared, found = output.splitlines()
        assert alike == shared == "alike"
        assert differ == (
            "process 1 on node1 is not like process 0 on node0: config.train.batch_size: 16 -> 17, jax: '1' -> '9.9'; "
            "start all with the same command, installation and data"
        )
        assert "process 1 on node1 is not like process 0 on node0: clips of train: 'cd' -> 'ab';" in other_clips
        # The first process builds what the others find.
        assert found == str(process > 0)
        assert "is another directory for process 1 on node1 than for process 0; allowed: one that" in not_shared
    assert list((tmp_path / "shared").iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("failure", "statuses", "messages"),
    [
        (
            "if index == 1: raise OSError('the disk is full')",
            [1, 1],
            ["error: process 1 on node1 failed: the disk is full; start all again to resume from the last checkpoint",
             "error: the disk is full"],
        ),
        ("raise ValueError(f'wrong on {index}')", [1, 1], ["error: wrong on 0", "error: wrong on 1"]),
        (
            "if index == 1: os.kill(os.getpid(), 9)",
            [1, -9],
            ["error: process 1 on node1 died: killed, out of memory, or cut off from the network; start all again to "
             "resume from the last checkpoint", None],
        ),
    ],
)  # fmt: skip
def test_processes_end_together_and_say_which_one_failed(tmp_path, failure, statuses, messages):
    began = time.monotonic()
    results = ended(*two(FAILURE.format(failure=failure), tmp_path))
    assert [status for status, _, _ in results] == statuses
    for (_, _, errors), message in zip(results, messages, strict=True):
        assert message is None or last_line(errors) == message
    assert time.monotonic() - began < 60


@pytest.mark.slow
def test_without_the_coordinator_the_others_end_and_name_it(tmp_path):
    _, (status, _, errors) = ended(*two(FAILURE.format(failure="if index == 0: os.kill(os.getpid(), 9)"), tmp_path))
    # JAX and this package notice at the same moment; one of them is first.
    assert status in (1, -signal.SIGABRT)
    assert "process 0, the coordinator, died" in errors or "the leader (usually slice 0 task 0)" in errors


@pytest.mark.slow
def test_a_process_that_waits_in_silence_is_ended_by_jax_with_the_number_of_the_dead_one(tmp_path):
    assert processes.HEARTBEAT_SECONDS < 60
    failure = "os.kill(os.getpid(), 9) if index == 1 else time.sleep(300)"
    began = time.monotonic()
    (status, _, errors), _ = ended(*two(FAILURE.format(failure=failure), tmp_path))
    assert status == -signal.SIGABRT
    assert "The following tasks are unhealthy (stopped sending heartbeats):\n1\n" in errors
    assert time.monotonic() - began < 60


def test_a_coordinator_that_does_not_answer_is_named():
    address = f"localhost:{free_port()}"
    with pytest.raises(ValueError, match=f"^--coordinator={address} does not answer after 1 seconds: .*refused"):
        processes.start(address, 2, 1, timeout_seconds=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("node1", 2, 0), "^--coordinator is 'node1'; allowed: HOST:PORT, such as node1:12345$"),
        (("node1:70000", 2, 0), "^--coordinator is 'node1:70000'; allowed: HOST:PORT"),
        (("node1:1", 0, 0), "^--num_processes is 0; allowed: 1 or more$"),
        (("node1:1", 2, 2), "^--process_id is 2; allowed: 0 to 1 of 2 processes$"),
        (("node1:1", None, -1), "^--process_id is -1; allowed: 0 or more$"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        processes.start(*arguments)


def test_one_process_agrees_with_itself(tmp_path):
    assert processes.exchange("this") == ["this"]
    processes.check_same_run(base_config())
    processes.check_alike({"clips": 1})
    processes.check_shared(tmp_path / "nothing")
    with processes.first_process_first("block"):
        processes.wait_for_all("others")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(KeyError), processes.ending_together():
        raise KeyError("no other process: raised as it is")
