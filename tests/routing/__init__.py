"""Tests of what to do with a call, without any daemon."""
