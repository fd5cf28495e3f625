"""Video files; knows neither JAX nor configs."""
