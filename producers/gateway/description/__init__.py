"""The OpenAPI document, its pages, and docs/api.md."""
