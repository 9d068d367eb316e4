"""Images of the services."""
