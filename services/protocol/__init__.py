"""Messages of the contracts <-> plain typed values."""
