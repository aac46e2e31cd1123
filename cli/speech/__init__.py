"""Speech: texts made into sound files, kept where rtpengine finds them, outside the processes that speak SIP."""
