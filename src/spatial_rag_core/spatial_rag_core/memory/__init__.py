"""The memory: a durable journal, an index of places, and the retriever that joins them."""
