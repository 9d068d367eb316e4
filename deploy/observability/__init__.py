"""What watches the services: rules for Prometheus, dashboards for Grafana."""
