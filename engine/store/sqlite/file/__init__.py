"""The file itself: who owns it, whether it is there, and words for what is wrong."""
