"""The training command as a process of a test, which may send itself a signal: STEP:SIGNAL, or -, then the flags."""

import os
import signal
import sys
import time
from types import MappingProxyType

from jaxvid import commands, main
from jaxvid.models import backbones
from jaxvid.train.step_metrics import StepMetrics
from tests.tiny import TINY_BACKBONE


def send_signal(number, step_of_signal):
    """Sends it while that step is under way. After a SIGTERM, steps take long: JAX looks for one once a second."""
    add = StepMetrics.add

    def add_and_signal(self, step, metrics):
        add(self, step, metrics)
        if step == step_of_signal:
            os.kill(os.getpid(), number)
        if step >= step_of_signal:
            time.sleep(0.7)

    StepMetrics.add = add_and_signal


if __name__ == "__main__":
    step, _, name = sys.argv.pop(1).partition(":")
    if name:
        send_signal(signal.Signals[name], int(step))
    backbones.BACKBONES = MappingProxyType(backbones.BACKBONES | {"tiny": TINY_BACKBONE})
    commands.run(main.main)
