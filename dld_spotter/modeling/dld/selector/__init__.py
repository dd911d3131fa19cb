"""The resolution selector: its network, and the two ways in which it learns."""
