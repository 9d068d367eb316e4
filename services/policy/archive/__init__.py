"""Ended episodes, kept in a folder or an S3 bucket for as long as their operator wants."""
