"""What every page is built with: widgets, docks, controls, themes."""
