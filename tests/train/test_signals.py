import os
import signal

import pytest

from jaxvid.train.signals import stop_requests


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_asks_to_stop_and_a_second_one_has_its_usual_effect(number):
    received = []
    previous = signal.signal(number, lambda *_: received.append(number))
    try:
        with stop_requests() as stop_requested:
            assert not stop_requested()
            os.kill(os.getpid(), number)
            assert stop_requested()
            assert received == []
            os.kill(os.getpid(), number)
            assert received == [number]
        os.kill(os.getpid(), number)
        assert received == [number, number]
    finally:
        signal.signal(number, previous)
