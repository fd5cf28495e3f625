"""The processes of a run on several hosts: their start, what they must agree on, and what is said when one fails.

JAX's coordination service, which the first process hosts, starts them together, ends all others when one stops sending
heartbeats, and tells all of a SIGTERM. Here are the checks before and the messages that name hosts. One process alone
needs none of it: all functions but `start` then do nothing.
"""

import contextlib
import hashlib
import importlib.metadata
import itertools
import json
import os
import platform
import socket
import sys
import time
import traceback
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
from absl import logging

# JAX has no public name for the client of its coordination service; Orbax takes it from here too.
from jax._src import distributed

from jaxvid.commands import user_message
from jaxvid.config import dotted
from jaxvid.types import ConfigDict

# A process that sends no heartbeat for so long is dead, and JAX ends the others. They end within a minute.
HEARTBEAT_SECONDS = 40

# How long processes wait for one that builds a dataset, computes features or writes a report.
_PATIENCE_SECONDS = 7 * 24 * 3600

# How long the processes that see another one fail wait for what it says. They see it at the same moment.
_ANSWER_SECONDS = 8.0

# What may differ from host to host.
_OWN_KEYS = ("dataset.data_dir", "dataset.manual_dir", "pipeline.num_threads")
_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")

# In messages of errors of calls that cross processes: Gloo is the CPU's transport, the others are states of RPCs.
_SIGNS_OF_ANOTHER_FAILURE = ("Gloo", "UNAVAILABLE", "ABORTED", "DEADLINE_EXCEEDED", "NCCL")
_DIED = "died: killed, out of memory, or cut off from the network"

# Directories of the coordination service.
_HOSTS, _ENDS = "jaxvid/host/", "jaxvid/end/"

_rounds = itertools.count()


def start(
    coordinator: str | None, num_processes: int | None, process_id: int | None, *, timeout_seconds: int = 300
) -> None:
    """Joins this process to the others of a run; must be called before anything touches a device.

    Arguments that are None come from the cluster: a TPU pod, Slurm and others that JAX recognizes.

    Args:
      coordinator: address of the first process, HOST:PORT.
      num_processes: of the run.
      process_id: number of this process, from 0.
      timeout_seconds: how long to wait for the other processes. If those that do not come are others than the first
        one, JAX aborts this one.

    Raises:
      ValueError: if an argument is not allowed, or the coordinator does not answer in that time.
    """
    _check_arguments(coordinator, num_processes, process_id)
    if coordinator and process_id:
        _wait_for_coordinator(coordinator, timeout_seconds)
    logging.warning(
        "Process %s of %s on %s waits for the others at %s, at most %d seconds",
        *("?" if value is None else value for value in (process_id, num_processes)),
        socket.gethostname(),
        coordinator or "the address that the cluster gives",
        timeout_seconds,
    )
    try:
        jax.distributed.initialize(
            coordinator,
            num_processes,
            process_id,
            initialization_timeout=timeout_seconds,
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
            # The first process writes the report while the others wait for it to end.
            shutdown_timeout_seconds=_PATIENCE_SECONDS,
        )
    except jax.errors.JaxRuntimeError as error:
        raise ValueError(
            f"--coordinator={coordinator}: process {process_id} cannot listen there ({error}); allowed: a free port of "
            f"this host, {socket.gethostname()}"
        ) from error
    _client().key_value_set(f"{_HOSTS}{distributed.global_state.process_id}", socket.gethostname())
    wait_for_all("start")
    for number, host in sorted(_read(_HOSTS).items()):
        logging.info("Process %d of %d: %s", number, distributed.global_state.num_processes, host)


def _check_arguments(coordinator: str | None, num_processes: int | None, process_id: int | None) -> None:
    host, _, port = (coordinator or "host:1").rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 2**16:
        raise ValueError(f"--coordinator is {coordinator!r}; allowed: HOST:PORT, such as node1:12345")
    if num_processes is not None and num_processes < 1:
        raise ValueError(f"--num_processes is {num_processes}; allowed: 1 or more")
    if process_id is not None and not 0 <= process_id < (num_processes or process_id + 1):
        allowed = "0 or more" if num_processes is None else f"0 to {num_processes - 1} of {num_processes} processes"
        raise ValueError(f"--process_id is {process_id}; allowed: {allowed}")


def _wait_for_coordinator(address: str, timeout_seconds: int) -> None:
    """Waits until something listens at the address: where nothing ever does, JAX aborts without naming it."""
    host, _, port = address.rpartition(":")
    until = time.monotonic() + timeout_seconds
    while True:
        try:
            socket.create_connection((host.strip("[]"), int(port)), max(1.0, until - time.monotonic())).close()
            return
        except OSError as error:
            if time.monotonic() + 1 > until:
                raise ValueError(
                    f"--coordinator={address} does not answer after {timeout_seconds} seconds: {error}; is process 0 "
                    "running there, and is the port open between the hosts?"
                ) from error
        time.sleep(1)


def _client() -> Any:
    return distributed.global_state.client


def exchange(text: str) -> list[str]:
    """Returns what every process gives, in their order. All must call this and `wait_for_all` in the same order."""
    client, state = _client(), distributed.global_state
    if client is None:
        return [text]
    directory = f"jaxvid/exchange/{next(_rounds)}/"
    client.key_value_set(f"{directory}{state.process_id}", text)
    wait_for_all("exchange")
    return [text for _, text in sorted(_read(directory).items())]


def _read(directory: str) -> dict[int, str]:
    """Returns what the processes have put into a directory of the coordination service, by their numbers."""
    return {int(key.rpartition("/")[2]): value for key, value in _client().key_value_dir_get(directory)}


def wait_for_all(name: str) -> None:
    """Waits until all processes are here: what the first one has written can then be read by the others."""
    if (client := _client()) is not None:
        client.wait_at_barrier(f"jaxvid/{name}/{next(_rounds)}", 1000 * _PATIENCE_SECONDS)


@contextlib.contextmanager
def first_process_first(name: str) -> Iterator[None]:
    """Lets the first process through the block before all others, which then find what it has left."""
    is_first = distributed.global_state.process_id == 0
    if not is_first:
        wait_for_all(name)
    try:
        yield
    finally:
        if is_first:
            wait_for_all(name)


def check_same_run(config: ConfigDict) -> None:
    """Checks that all processes run the same code with the same config on the same kind of device.

    Raises:
      ValueError: as `check_alike`.
    """
    if _client() is not None:
        check_alike(_facts(config))


def check_alike(facts: dict[str, Any]) -> None:
    """Checks that what all processes say of themselves, JSON-ready, is the same.

    Raises:
      ValueError: in all of them, naming the first process that differs, with its host, and in what.
    """
    if _client() is None:
        return
    everyone = [json.loads(text) for text in exchange(json.dumps({**facts, "host": socket.gethostname()}))]
    for number, facts in enumerate(everyone):
        keys = sorted(key for key in {*facts, *everyone[0]} - {"host"} if facts.get(key) != everyone[0].get(key))
        if keys:
            changes = ", ".join(f"{key}: {everyone[0].get(key)!r} -> {facts.get(key)!r}" for key in keys)
            raise ValueError(
                f"process {number} on {facts['host']} is not like process 0 on {everyone[0]['host']}: {changes}; "
                "start all with the same command, installation and data"
            )


def _facts(config: ConfigDict) -> dict[str, Any]:
    package = Path(__file__).parent
    code = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        code.update(f"{path.relative_to(package)}\0".encode() + path.read_bytes())
    return {
        "code of jaxvid": code.hexdigest()[:12],
        "Python": ".".join(platform.python_version_tuple()[:2]),
        **{package: importlib.metadata.version(package) for package in _PACKAGES},
        "device": jax.local_devices()[0].device_kind,
        "number of devices": jax.local_device_count(),
        **{f"config.{key}": value for key, value in dotted(config).items() if key not in _OWN_KEYS},
    }


def check_shared(directory: Path) -> None:
    """Creates a directory, and checks that all processes see the same one.

    Raises:
      ValueError: in all of them, naming the hosts that see another one.
    """
    if _client() is None:
        return
    name = exchange(f".seen-by-all-{uuid.uuid4().hex}")[0]
    is_first = distributed.global_state.process_id == 0
    directory.mkdir(parents=True, exist_ok=True)
    if is_first:
        (directory / name).touch()
    wait_for_all("directory")
    hosts = exchange("" if _appears(directory / name) else socket.gethostname())
    if is_first:
        (directory / name).unlink()
    if others := [f"process {number} on {host}" for number, host in enumerate(hosts) if host]:
        raise ValueError(
            f"--workdir={directory} is another directory for {', '.join(others)} than for process 0; allowed: one that "
            "all hosts share"
        )


def _appears(path: Path, seconds: float = 5.0) -> bool:
    """Returns whether a file is there, at once or, on a network's file system, a little later."""
    until = time.monotonic() + seconds
    while not path.exists():
        if time.monotonic() > until:
            return False
        # Listing a directory refreshes what NFS remembers of it.
        os.listdir(path.parent)
        time.sleep(0.5)
    return True


@contextlib.contextmanager
def ending_together(*passing: type[Exception]) -> Iterator[None]:
    """Ends this process with status 1 and a message if the block fails and there are other processes.

    The others would wait for it forever, and it for them in its orderly end. Which of them failed is said where this
    shows as an error of a call that crosses processes. Where it shows as silence, as with collectives of GPUs and TPUs,
    JAX aborts this process HEARTBEAT_SECONDS later, with the number of the "task".

    Args:
      passing: exceptions that are raised by all processes together, and are no failures.
    """
    try:
        yield
    except passing:
        raise
    except Exception as error:
        if _client() is None:
            raise
        # No traceback of the others' failure: what happened there is in their logs.
        failed = _failed_processes(error)
        if failed:
            print(f"error: {'; '.join(failed)}; start all again to resume from the last checkpoint", file=sys.stderr)
        elif (message := user_message(error)) is not None:
            print(f"error: {message}", file=sys.stderr)
        else:
            traceback.print_exception(error)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)


def _failed_processes(error: Exception) -> list[str]:
    """Tells the other processes that this one ends, and returns which ones failed if it is not this one that did."""
    client, state = _client(), distributed.global_state
    is_of_another = any(sign in str(error) for sign in _SIGNS_OF_ANOTHER_FAILURE)
    line = "" if is_of_another else (str(error).splitlines() or [type(error).__name__])[0]
    try:
        hosts = _read(_HOSTS)
        client.key_value_set(f"{_ENDS}{state.process_id}", line, allow_overwrite=True)
        # The first process hosts what the others say: it ends last.
        said = _said_at_the_end(_ANSWER_SECONDS) if is_of_another or state.process_id == 0 else {}
        if state.process_id == 0:
            time.sleep(1)
    except jax.errors.JaxRuntimeError:
        return [f"process 0, the coordinator, {_DIED}"]
    if not is_of_another:
        return []
    return [
        f"process {number} on {hosts.get(number, 'an unknown host')} {f'failed: {line}' if line else _DIED}"
        for number, line in ((number, said.get(number)) for number in range(state.num_processes))
        if line != ""
    ]


def _said_at_the_end(seconds: float) -> dict[int, str]:
    """Returns the errors of the processes that end, "" for another one's, once all end or the time is over."""
    until = time.monotonic() + seconds
    while len(said := _read(_ENDS)) < distributed.global_state.num_processes and time.monotonic() < until:
        time.sleep(0.2)
    return said
