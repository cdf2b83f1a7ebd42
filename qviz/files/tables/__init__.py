"""Which numbers does a text hold: what stands where is recognized here, pyarrow reads it."""
