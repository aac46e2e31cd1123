"""The checks that `handoff doctor` makes; each gives findings and ends by itself within a few seconds."""
