"""Trains and evaluates the small CLIPs of the shipped agents on drawn scenes with exact captions."""
