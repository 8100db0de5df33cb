"""The tables of what a contract found, and of what it set aside: their names, and what their columns mean.

The rows are made in `validation.py`.
"""

CONTRACT = "contract_results"
RESULT_COLUMNS = {
    "rule": "The rule: table and fact that should hold.",
    "violations": "Rows that break the rule.",
    "rows": "Rows that the rule was applied to.",
    "action": "What happens to a violation: block, quarantine or warn.",
    "example": "One row that breaks the rule.",
    "cause": "What is wrong with it, and what to do in the source.",
}
"""Of `results_table`: column → meaning."""

QUARANTINED = "quarantined_rows"
QUARANTINED_COLUMNS = {
    "table": "The table that the row was read for.",
    "reasons": "The rules that the row breaks.",
    "row": "The row as it was read, as text.",
}
"""Column → meaning."""
