"""What a person reads: tables of one run (:mod:`.tables`), and the page of a whole comparison (:mod:`.page`)."""

from agents.report.tables import comparison_table, evaluation_json, one_sided_warning, score_table

__all__ = ["comparison_table", "evaluation_json", "one_sided_warning", "score_table"]
