"""Psychlab's continuous recognition as an environment of our own; environment.py lists the differences."""
