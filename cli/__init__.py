"""What people type: the `handoff` command and its parts."""
