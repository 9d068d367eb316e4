"""Training and evaluation of the small CLIP that ships with the `mini` profile (architecture section 10)."""
