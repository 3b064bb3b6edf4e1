"""Smooth fields on log intensity: N4 by histogram sharpening, and how far an estimate is to be trusted."""
