"""How rows will be trained on, before a job is made."""
