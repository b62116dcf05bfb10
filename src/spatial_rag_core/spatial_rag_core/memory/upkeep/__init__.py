"""Work on whole memory files: copies, checks, rescue, and files written anew."""
