"""Measurements of handoff against its own bars and against Kamailio without Python: `python -m tests.bench`."""
