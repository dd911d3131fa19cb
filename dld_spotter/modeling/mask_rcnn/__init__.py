"""The base spotter of the DLD paper: Mask R-CNN with a recognition branch."""
