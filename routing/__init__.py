"""What to do with a call: the transfer machine, targets, outcomes and SIP values."""
