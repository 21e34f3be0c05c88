"""HTTP in and out: the public APIs, which all answer through one pipeline."""
