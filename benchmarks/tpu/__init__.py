"""Pods without a pod: compiled train steps and their rooflines."""
