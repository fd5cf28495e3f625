"""Hockey Fight: fights and other scenes of ice hockey games."""
