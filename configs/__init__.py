"""One file per system; its docstring gives the command, the arguments and the paper's results. README.md: ours."""
