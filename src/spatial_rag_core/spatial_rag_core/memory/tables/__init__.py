"""What stands in a memory file: its tables, their rows, and how they are read and changed."""
