"""The Tensor page: what does this scheme do to this tensor?"""
