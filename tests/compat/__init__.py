"""Two versions of Sojourn on the same data: builds, processes that run them, and what they do."""
