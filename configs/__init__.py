"""One file per system; each docstring gives the command, the expected result and the time it takes."""
