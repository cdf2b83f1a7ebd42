"""What do the errors add up to? Once over every element, or over the sorted ones."""
