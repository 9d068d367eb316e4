"""Psychlab's continuous recognition as an environment of our own; see environment.py for the task and what differs."""
