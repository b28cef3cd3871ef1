"""Stack files by behaviour: what is read, what it becomes, and what is refused where."""
