"""The dashboards as pages of the gateway."""
