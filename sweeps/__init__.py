"""The question, the loop, the record: studies, plans, the Ray driver, records and tracking."""
