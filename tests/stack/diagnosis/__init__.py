"""Real transfers that fail, and the cause and mend that the commands tell of each."""
