"""Do the live libraries give what qviz gives? Scripts that are run by hand, each in an environment of its own."""
