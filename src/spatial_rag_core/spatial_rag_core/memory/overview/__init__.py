"""What a memory holds, seen at once: figures of each session, and a picture."""
