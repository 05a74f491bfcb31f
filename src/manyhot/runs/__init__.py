"""Whole runs: train, evaluate, predict, check. The only place where configuration becomes objects."""
