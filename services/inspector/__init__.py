"""The web page that shows memories live. It only calls the public API (AgentService) and stores nothing."""
