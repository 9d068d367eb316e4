"""The public door: Act = retrieve -> remember -> decide -> commit."""
