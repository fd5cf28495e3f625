"""SHV: sexual harassment videos."""
