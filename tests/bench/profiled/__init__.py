"""What Kamailio loads instead of handoff's own script to be profiled; alone here, since its folder gets imported."""
