"""Numbers, tables and pages as people read them."""
