"""Keys of projects and of administrators, for administrators."""
