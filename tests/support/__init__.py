"""What the tests of running services share: ways to deploy them, frames, calls and what a refusal says."""
