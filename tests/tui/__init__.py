"""The dashboard, without a terminal and with one."""
