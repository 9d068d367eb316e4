"""All services on one machine, as separate processes under a process manager."""
