"""Clients and servers are hurt; what they were told is compared with what is there."""
