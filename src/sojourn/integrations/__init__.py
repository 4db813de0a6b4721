"""Agent frameworks, each over the rooms."""
