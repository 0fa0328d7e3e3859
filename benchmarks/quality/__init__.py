"""How good? Methods side by side, and what each evaluator says of them."""
