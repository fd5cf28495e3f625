"""The command that builds a dataset, on this machine or on Apache Beam."""
