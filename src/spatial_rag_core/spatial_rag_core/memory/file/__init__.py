"""The memory file as a file: opened and locked, one moment of it, and what is lost of it."""
