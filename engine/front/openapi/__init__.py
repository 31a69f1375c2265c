"""The interface described for machines: OpenAPI 3.1, of the types and the table of routes."""
