"""Where things are: counties and their editions, offices, the border line, ports, distances."""
