"""The kinds of method that a comparison knows, in the order in which they are shown."""

LEARNED = "learned"
ELSEWHERE = "prepared elsewhere"
"""Trained or tuned on another suite than it is tested on: its validation grades are those of other problems."""
KINDS = ("reference", "open loop", "closed loop", "population", LEARNED, ELSEWHERE)
