"""How does a person get the same codes without qviz?"""
