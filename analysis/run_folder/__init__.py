"""One run on disk: its files, its tables, its study."""
