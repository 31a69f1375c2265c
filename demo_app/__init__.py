"""An application as a user of Atomic would write one. Talks HTTP only."""
