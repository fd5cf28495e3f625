"""UCF101, the groups of its three official splits as splits of their own."""
