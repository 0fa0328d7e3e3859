"""What is lost when commands are killed, run twice at once or short of memory?"""
