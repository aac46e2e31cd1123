"""The test transfer: what an endpoint of a target would make of a call, step by step."""
