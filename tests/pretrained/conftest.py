"""Leaves the test of real weights out of a run that has none: it is run by hand (see its docstring)."""

import os

collect_ignore = [] if "JAXVID_WEIGHTS" in os.environ else ["test_real_weights.py"]
