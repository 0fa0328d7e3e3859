"""How well a stylized picture keeps its content and reaches its style: numbers for tables.

Pure functions, one number a picture; made to be compared, not trained against.
"""
