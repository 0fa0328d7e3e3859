"""How well a stylized image keeps its content and reaches its style: numbers for tables.

Pure functions, one number per image; meant for comparisons, not for training.
"""
