"""Everything that uses Redis: keys, scripts, episodes, histories."""
