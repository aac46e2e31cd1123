"""Tests of the Kamailio adapter."""
