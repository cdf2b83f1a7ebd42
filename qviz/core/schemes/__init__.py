"""What did the person choose, and what does that choice entail?"""
