"""From final grades to what a table says: one run (:mod:`.one_run`), and many runs of many methods (the rest)."""

from agents.statistics.one_run import Summary, bootstrap_interval, interquartile_mean, paired_interval, summarise

__all__ = ["Summary", "bootstrap_interval", "interquartile_mean", "paired_interval", "summarise"]
