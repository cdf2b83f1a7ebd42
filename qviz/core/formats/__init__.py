"""Which numbers can a code stand for?"""
