"""Losses by which a student and its resolution selector learn from a teacher."""
