"""Tests of the rtpengine package, without a daemon."""
