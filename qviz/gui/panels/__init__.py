"""Controls and read-outs that a page composes; no panel knows another."""
