"""What generates and checks parts of this repository."""
