"""The public API: Act = retrieve -> remember -> decide -> commit."""
