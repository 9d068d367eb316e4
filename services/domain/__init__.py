"""What every service knows: agent bundles, frames, episodes and their history. No model, no server, no store."""
