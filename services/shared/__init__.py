"""The kit: what every service stands on. It knows no business noun."""
