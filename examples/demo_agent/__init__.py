"""A demo agent that shows and changes the session it runs in."""

from . import agent as agent
