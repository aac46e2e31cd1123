"""Tests on the real daemons, and the instruments they use: wire capture, SIPp, a scripted user agent, RTP, phones."""
