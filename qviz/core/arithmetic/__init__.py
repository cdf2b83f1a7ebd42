"""How does a value become a code, and a code a value again?"""
