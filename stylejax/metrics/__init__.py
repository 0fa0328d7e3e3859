"""How well a stylized image keeps its content and reaches its style: numbers for tables.

Pure functions, one number an image; made to be compared, not trained against.
"""
