"""What the services share and what knows nothing of agents: settings, server, health, batching, auth, telemetry."""
