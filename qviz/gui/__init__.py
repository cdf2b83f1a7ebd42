"""Everything that is drawn: window, pages, panels and plots."""
