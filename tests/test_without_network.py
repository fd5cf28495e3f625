"""No address is asked without being asked for: the quickstart, from nothing to its report, under strace."""

import pytest

from tests.faults.confined import network, run


@pytest.mark.slow
def test_the_quickstart_asks_no_address(tmp_path):
    settings = {
        "TFDS_DATA_DIR": str(tmp_path / "tfds"),
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "compiled"),
        "MPLCONFIGDIR": str(tmp_path / "matplotlib"),
    }
    # Connections that fail are calls too: whether this machine has a network does not matter.
    arguments = ["-m", "jaxvid.main", "--config=configs/quickstart.py", f"--workdir={tmp_path / 'run'}"]
    ended = run(arguments, tmp_path, 1500, **settings)
    assert ended.status == 0, ended.errors
    assert (tmp_path / "run" / "report" / "index.html").is_file()
    asked = [call for call in network(ended.calls) if not _listens_on_this_machine(call)]
    assert asked == []


def _listens_on_this_machine(call):
    """urllib3, for example, binds a port of the loopback to find out whether there is IPv6."""
    return " bind(" in call and ('"::1"' in call or '"127.0.0.1"' in call)


@pytest.mark.slow
def test_an_address_that_is_asked_would_be_seen(tmp_path):
    code = "import socket; socket.socket().connect_ex(('127.0.0.1', 9)); socket.socket(1).connect_ex('/no')"
    assert len(network(run(["-c", code], tmp_path, 100).calls)) == 1
