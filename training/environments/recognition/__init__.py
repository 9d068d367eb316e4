"""Psychlab's continuous recognition as an environment of our own; environment.py says what differs."""
