"""Kamailio at the edges: SIP messages become events, actions become SIP messages."""
