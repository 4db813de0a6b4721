"""Calls to a server, as values: rooms make them and the engine sends them. Knows neither."""
