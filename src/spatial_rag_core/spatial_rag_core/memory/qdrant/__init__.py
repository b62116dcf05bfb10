"""The parts of the index in Qdrant: in a folder of this process, or on a server."""
