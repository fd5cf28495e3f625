"""What was measured, in CSV files, and the tables that the documents show of it."""
