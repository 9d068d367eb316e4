"""Monitoring of the services: alert rules for Prometheus, dashboards for Grafana."""
