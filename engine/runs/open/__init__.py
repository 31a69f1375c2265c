"""What is open: requests to endpoints with their bytes, and callers that wait."""
