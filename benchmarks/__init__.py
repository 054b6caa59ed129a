"""Measurements of speed and memory, as ratios; never part of the tests."""
