"""The ground: what every stage counts with. Knows no stage, no table and no file."""
