"""UCF50: fifty human activities."""
