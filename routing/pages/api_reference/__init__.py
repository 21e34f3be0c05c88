"""The API reference at /docs/api: a page for each operation of the served OpenAPI document."""
