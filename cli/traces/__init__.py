"""SIP messages of calls: how Kamailio hands them over, how they are kept, and how they are shown."""
