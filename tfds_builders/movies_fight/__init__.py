"""Movies Fight: fights from action movies, and scenes without."""
