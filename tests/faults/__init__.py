"""A campaign of faults: what is promised, broken on purpose and counted."""
