"""The script that Kamailio loads instead of handoff's own to be profiled; alone here, since its folder gets imported."""
