"""What stands between a caller and a server that fails. Knows no Redis."""
