"""RWF-2000: fights and other scenes from surveillance cameras."""
