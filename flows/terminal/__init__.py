"""What the command line shows: its parser, the view of a run at work, and the result."""
