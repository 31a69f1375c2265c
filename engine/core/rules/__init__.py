"""What follows when something happens: a post, an end of an attempt, an action."""
