"""How does a frozen dataclass become JSON, and JSON a dataclass again?"""
