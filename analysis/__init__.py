"""From records to verdicts: load -> effects -> findings -> recommendation -> figures -> report."""
