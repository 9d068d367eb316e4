"""Frames of committed steps, kept in a folder or an S3 bucket."""
