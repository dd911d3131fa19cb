"""Dynamic Low-resolution Distillation around any spotter."""
