"""What checks or generates this repository; no part of what is served."""
