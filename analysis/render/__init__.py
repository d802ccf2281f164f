"""Format numbers, tables and pages for people."""
