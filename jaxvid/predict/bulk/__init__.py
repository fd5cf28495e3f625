"""Prediction of very many videos on Apache Beam; only `handler` and `pipeline` import it."""
