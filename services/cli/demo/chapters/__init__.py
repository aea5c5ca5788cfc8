"""What the story tells, one file a subject."""
