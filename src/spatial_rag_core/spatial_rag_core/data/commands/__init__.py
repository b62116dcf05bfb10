"""`spatial-rag data …`."""
