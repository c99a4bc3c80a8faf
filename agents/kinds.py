"""The kinds of method that a comparison knows, in the order in which they are shown."""

LEARNED = "learned"
KINDS = ("reference", "open loop", "closed loop", "population", LEARNED)
