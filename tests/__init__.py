"""Tests of handoff; those in `stack` run the real daemons."""
