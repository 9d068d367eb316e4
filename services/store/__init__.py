"""Everything that speaks Redis: keys, scripts, episodes, histories."""
