"""What things cost, side by side with the bare thing underneath, in one run. `make bench` prints the tables."""
