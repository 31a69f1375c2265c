"""What every store keeps, asked of each adapter. A new one stands in `adapters.py`."""
