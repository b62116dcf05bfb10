"""What a retriever is made of, whatever its index: it follows a file and chooses hits."""
