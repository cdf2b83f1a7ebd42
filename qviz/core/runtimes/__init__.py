"""Whose arithmetic: how does each runtime turn a range into a scale, and a value into a code?"""
