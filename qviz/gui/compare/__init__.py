"""The Compare page: which scheme is best?"""
