"""What people are shown, the same on the command line and the dashboard. Imports nothing of ours
and of others, as `atomic --help` brings it along."""
