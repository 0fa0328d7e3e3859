"""Stylizing from file to file: requests, methods, backends, and the loops behind the commands.

The mathematics of a stylization is in `stylejax.transfer`, decoding in `stylejax.images`.
"""
