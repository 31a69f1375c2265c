"""HTTP/1.1 as a server speaks it; knows no engine."""
