"""Attempts as spans, sent to a collector (OpenTelemetry), where that is asked for."""
