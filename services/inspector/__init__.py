"""The web page that shows live memories. It calls the public API (AgentService) alone, and stores nothing."""
