"""From where to where shall the codes reach?"""
