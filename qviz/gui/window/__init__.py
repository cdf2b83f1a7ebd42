"""The frame around the pages: menus, messages, navigation, saving."""
