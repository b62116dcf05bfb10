"""The commands of `spatial-rag memory`, one module for each kind of work."""
