"""Pods without a pod: compiled steps, rooflines."""
