"""Check of a folder of videos."""
