"""Is anything lost when commands are killed, run two at once or short of memory?"""
